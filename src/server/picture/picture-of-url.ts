import { realpath } from "node:fs/promises";
import { isAbsolute, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { SdRpnError } from "../../base/errors.js";
import { fetchPicture, type FetchSettings } from "./fetch-picture.js";

export interface PictureSettings extends FetchSettings {
  /** folder below which `file:` URLs may lead */
  mediaPath?: string;
}

const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * The picture of an `image_url`, as the library takes it: a data URI, or base64 alone; `file:` below the media path; http and https of
 * allowed hosts. Never a path as a client has written it.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for what is refused, IMAGE_INVALID, DOWNLOAD_FAILED, IMAGE_TOO_LARGE, ABORTED
 */
export async function pictureOfUrl(text: string, settings: PictureSettings, signal?: AbortSignal): Promise<string | Buffer> {
  if (/^data:/i.test(text)) {
    return text;
  }
  if (/^file:/i.test(text)) {
    return fileBelow(text, settings.mediaPath);
  }
  if (/^https?:/i.test(text)) {
    if (!URL.canParse(text)) {
      throw new SdRpnError("INVALID_ARGUMENT", "Expected a URL for image_url but what was received cannot be read as one");
    }
    return fetchPicture(new URL(text), settings, signal);
  }
  const bare = text.replace(/\s/g, "");
  if (!BASE64.test(bare)) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected a data URI, base64, or a URL with file:, http: or https: for image_url");
  }
  return `data:;base64,${bare}`;
}

async function fileBelow(text: string, mediaPath: string | undefined): Promise<string> {
  if (mediaPath === undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected a data URI for image_url but received a file: URL, and the service was started without --media-path: send the picture itself");
  }
  const missing = new SdRpnError("IMAGE_INVALID", "There is no picture of this file: URL below the service's media path");
  let path: string;
  let root: string;
  try {
    [path, root] = await Promise.all([realpath(fileURLToPath(text)), realpath(mediaPath)]); // links lead where they lead
  } catch {
    throw missing;
  }
  const below = relative(root, path);
  if (below === "" || below === ".." || below.startsWith(`..${sep}`) || isAbsolute(below)) {
    throw missing; // as if it were not there: what lies elsewhere is nobody's business
  }
  return path;
}
