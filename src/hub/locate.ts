import { join } from "node:path";
import { SdRpnError } from "../base/errors.js";
import { isFile, isWhole, repositoryFolder } from "./cache.js";
import { formatHubName, parseHubName } from "./name.js";
import { hubOf, pullFrom, type PullProgress } from "./pull.js";

export interface LocateOptions {
  /** whether to fetch what is not there */
  download: boolean;
  onDownload?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

/**
 * What a name such as "hf:owner/name:file" stands for: the file in the cache, or the repository's folder, and that folder. What is there is used as it
 * is, without asking the hub.
 *
 * @param option what the name was given for
 * @throws {SdRpnError} INVALID_ARGUMENT for a name that is none; MODEL_NOT_FOUND where it was not fetched; with `download` as `pull`
 */
export async function locate(text: string, option: string, { download, onDownload, signal }: LocateOptions): Promise<{ path: string; folder: string }> {
  const name = parseHubName(text, option);
  const hub = hubOf(process.env);
  const folder = repositoryFolder(hub.cache, hub.endpoint, name);
  const path = name.file === undefined ? folder : join(folder, ...name.file.split("/"));
  if (!(await (name.file === undefined ? isWhole(folder) : isFile(path)))) {
    if (!download) {
      throw new SdRpnError("MODEL_NOT_FOUND", `${text} is not in the cache (${folder}): fetch it with \`sd-rpn pull ${formatHubName(name)}\`, or pass download: true`);
    }
    await pullFrom(hub, name, { onProgress: onDownload, signal });
  }
  return { path, folder };
}
