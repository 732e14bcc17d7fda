import sharp from "sharp";
import { runJob } from "../native/job.js";
import type { ImageOptions } from "../base/types.js";
import type { Decoded } from "./decoded.js";
import { type Color, pixelWorker, type RgbPixels } from "./resample.js";

/** Paper: what ink that lies in alpha alone was meant to stand on. */
const WHITE = "#ffffff";

/**
 * RGB of decoded pixels, turned clockwise by `rotate`: what is transparent lies on `background`, alpha is dropped where that is "drop". Some
 * screen captures have an alpha of 0 everywhere: it counts as none.
 */
export async function toOpaque(decoded: Decoded, { background = WHITE, rotate = 0 }: ImageOptions): Promise<RgbPixels> {
  const { width, height, channels } = decoded;
  const rgb = channels === 3 ? decoded.data : await flatten(decoded.data, background);
  if (rotate === 0) {
    return { data: rgb, width, height, channels: 3 };
  }
  const { data, info } = await sharp(rgb, { raw: { width, height, channels: 3 }, limitInputPixels: false }).rotate(rotate).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: 3 };
}

/**
 * Colour * alpha + background * (1 - alpha), in sRGB levels as they are stored, rounded to the nearest: what browsers show, and to the last bit what
 * Pillow's alpha_composite gives.
 */
async function flatten(rgba: Uint8Array, background: string): Promise<Uint8Array> {
  const out = Buffer.allocUnsafeSlow((rgba.length / 4) * 3);
  const worker = pixelWorker();
  await runJob(worker, () => worker.flatten(rgba, background === "drop" ? null : colorOf(background), out));
  return out;
}

function colorOf(text: string): Color {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
