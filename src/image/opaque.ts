import sharp from "sharp";
import type { ImageOptions, Size } from "../base/types.js";
import type { RgbPixels } from "./resample.js";

/** Paper: what ink that lies in alpha alone was meant to stand on. */
const WHITE = "#ffffff";

/** Decoded pixels of 8 bits a channel, alpha being the fourth. */
export interface Decoded extends Size {
  data: Uint8Array;
  channels: 3 | 4;
}

/**
 * RGB of decoded pixels, turned clockwise by `rotate`: what is transparent lies on `background`, alpha is dropped where that is "drop". Some
 * screen captures have an alpha of 0 everywhere: it counts as none.
 */
export async function toOpaque({ data, width, height, channels }: Decoded, { background = WHITE, rotate = 0 }: ImageOptions): Promise<RgbPixels> {
  const open = () => sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
  let image = open();
  if (channels === 4) {
    const alpha = background === "drop" ? null : (await open().stats()).channels[3];
    image = alpha === null || alpha.max === 0 || alpha.min === 255 ? image.removeAlpha() : image.flatten({ background });
  } else if (rotate === 0) {
    return { data, width, height, channels };
  }
  const { data: rgb, info } = await image.rotate(rotate).raw().toBuffer({ resolveWithObject: true });
  return { data: rgb, width: info.width, height: info.height, channels: 3 };
}
