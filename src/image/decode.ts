import sharp from "sharp";
import { SdRpnError } from "../base/errors.js";
import type { RawImage } from "../base/types.js";
import { readBmp } from "./bmp.js";
import type { Read } from "./decoded.js";
import { readIco } from "./ico.js";
import { withLevels } from "./levels.js";
import { checkImageSize, checkPage } from "./limits.js";
import { drawPage, type PageOptions } from "./pdf.js";
import type { ImageSource } from "./source.js";

/**
 * Decodes what was given, each format by its own decoder.
 *
 * @throws {SdRpnError} IMAGE_INVALID, IMAGE_TOO_LARGE; INVALID_ARGUMENT for a page that is not there, and for dpi where there is no PDF
 */
export async function decode(source: ImageSource, options: PageOptions): Promise<Read> {
  const { page, dpi, maxPixels } = options;
  const format = source.kind === "raw" ? "raw pixels" : source.format;
  if (dpi !== undefined && format !== "PDF") {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected no dpi for ${format}, which has pixels of its own, but received ${dpi}: it is for PDF files`);
  }
  if (source.kind === "raw") return checkRaw(source.image, maxPixels, page);
  const { bytes, name } = source;
  switch (format) {
    case "PDF":
      return drawPage(bytes, name, options);
    case "BMP":
      return readBmp(bytes, name, options);
    case "ICO":
      return readIco(bytes, name, options, (png) => decodeFile(png, name, maxPixels, page));
    default:
      return decodeFile(bytes, name, maxPixels, page);
  }
}

function checkRaw({ data, width, height, channels, order }: RawImage, maxPixels: number, page: number): Read {
  checkPage(page, 1);
  checkImageSize({ width, height }, maxPixels);
  if (data.length !== width * height * channels) {
    throw new SdRpnError(
      "IMAGE_INVALID",
      `Expected width x height x channels = ${width * height * channels} bytes for image.data but received ${data.length}`,
    );
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (order === "bgr") {
    for (let i = 0; i < bytes.length; i += channels) {
      [bytes[i], bytes[i + 2]] = [bytes[i + 2], bytes[i]]; // the call's own copy
    }
  }
  return { pixels: { data: bytes, width, height, channels }, pages: 1, hints: [] };
}

/** JPEG, PNG and the other formats of sharp. */
async function decodeFile(bytes: Buffer, name: string, maxPixels: number, page: number): Promise<Read> {
  try {
    // "error" accepts files about which decoders only warn, but none that end early. The limit is checked here rather
    // than by sharp, whose message would not name the option to change.
    const options = { failOn: "error", limitInputPixels: false, ignoreIcc: true } as const;
    const first = await sharp(bytes, options).metadata();
    const pages = first.pages ?? 1;
    checkPage(page, pages);
    const open = () => sharp(bytes, page === 0 ? options : { ...options, page });
    const header = page === 0 ? first : await open().metadata(); // pages of a TIFF file have their own sizes
    checkImageSize(header, maxPixels);
    const { image, hints } = await withLevels(open, header, bytes);
    const { data, info } = await image.autoOrient().raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    if (channels !== 3 && channels !== 4) throw new Error(`${channels} channels after conversion to RGB`);
    return { pixels: { data, width, height, channels }, pages, hints };
  } catch (error) {
    if (error instanceof SdRpnError) throw error;
    const reason = (error as Error).message.split("\n")[0].replace(/[:\s]+$/, "");
    throw new SdRpnError("IMAGE_INVALID", `Cannot decode the image (${name}): ${reason}; the file may be damaged or truncated`, { cause: error });
  }
}
