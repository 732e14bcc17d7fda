import { type BmpOptions, decodeBmp, strideOf } from "./bmp.js";
import { bmpInvalid, readBmpHeader } from "./bmp-header.js";
import type { Decoded, Read } from "./decoded.js";
import { checkImageSize, checkPage } from "./limits.js";

/** Each entry of the list: sizes, colours, and where the picture lies. */
const ENTRY = 16;
/** Windows shows bitmaps of 256 at most, and PNG files in larger icons. Masks are laid on without a pause. */
const MOST_SIDE = 1024;
const PNG = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/**
 * The largest picture of a Windows icon, of those the one with most bits a pixel: a bitmap with its mask, or a whole PNG file.
 *
 * @param readPng reads that
 * @throws {SdRpnError} as `readBmp`
 */
export async function readIco(bytes: Buffer, name: string, options: BmpOptions, readPng: (png: Buffer) => Promise<Read>): Promise<Read> {
  checkPage(options.page, 1);
  const picture = largest(bytes, name);
  if (picture.subarray(0, PNG.length).equals(PNG)) return readPng(picture);
  const header = readBmpHeader(picture, 0, name);
  // its height is that of pixels and mask together
  const own = { ...header, height: Math.floor(header.height / 2), masks: header.bits === 32 ? withAlpha(header.masks!) : header.masks };
  if (own.height === 0 || own.rle) throw bmpInvalid(name, own.rle ? "icons with RLE are not supported" : "its height is 1, of pixels and mask together");
  if (Math.max(own.width, own.height) > MOST_SIDE) throw bmpInvalid(name, `a bitmap of ${own.width}x${own.height} is no icon's`);
  checkImageSize(own, options.maxPixels);
  const pixels = await decodeBmp(own, picture.subarray(Math.min(header.end, picture.length)), name, options.signal);
  const mask = picture.subarray(header.end + strideOf(own.width, own.bits) * own.height);
  return { pixels: masked(pixels, mask, own.topDown), pages: 1, hints: [] };
}

function withAlpha<M>(masks: readonly M[]): (M | { shift: number; most: number })[] {
  return masks.length === 4 ? [...masks] : [...masks, { shift: 24, most: 255 }];
}

function largest(bytes: Buffer, name: string): Buffer {
  const count = bytes.length < 6 ? 0 : bytes.readUInt16LE(4);
  if (count === 0 || 6 + count * ENTRY > bytes.length) throw bmpInvalid(name, "its list of pictures ends early");
  const entries = Array.from({ length: count }, (_, i) => {
    const at = 6 + i * ENTRY;
    const side = (value: number): number => value || 256;
    return { area: side(bytes[at]) * side(bytes[at + 1]), bits: bytes.readUInt16LE(at + 6), length: bytes.readUInt32LE(at + 8), from: bytes.readUInt32LE(at + 12) };
  });
  const { from, length } = entries.reduce((best, entry) => (entry.area > best.area || (entry.area === best.area && entry.bits > best.bits) ? entry : best));
  if (from + length > bytes.length) throw bmpInvalid(name, "its picture ends early");
  return bytes.subarray(from, from + length);
}

/** With alpha, which the mask gives where the pixels have none of their own: a set bit is transparent. */
function masked({ data, width, height, channels }: Decoded, mask: Uint8Array, topDown: boolean): Decoded {
  if (channels === 4 && data.some((value, i) => i % 4 === 3 && value !== 0)) return { data, width, height, channels };
  const stride = strideOf(width, 1);
  const hasMask = mask.length >= stride * height;
  const out = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    const row = (topDown ? y : height - 1 - y) * stride;
    for (let x = 0; x < width; x++) {
      const [to, from] = [4 * (y * width + x), channels * (y * width + x)];
      out.set(data.subarray(from, from + 3), to);
      out[to + 3] = hasMask && (mask[row + (x >> 3)] >> (7 - (x % 8))) & 1 ? 0 : 255;
    }
  }
  return { data: out, width, height, channels: 4 };
}
