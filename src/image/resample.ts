import { binding, type NativeResampler } from "../native/binding.js";
import { runJob } from "../native/job.js";
import type { Box, Size } from "../base/types.js";

/** Decoded pixels: RGB, row-major, 8 bits a channel, no padding between rows. */
export interface RgbPixels extends Size {
  data: Uint8Array;
  channels: 3;
}

export type Color = readonly [red: number, green: number, blue: number];

/** Bicubic is Catmull-Rom, a = -0.5. */
export type Filter = "bicubic" | "bilinear";

// One for all pictures of a JavaScript environment, created when first needed. While idle it does not keep the process alive,
// and its thread is stopped when the environment ends, so it needs no dispose().
let resampler: NativeResampler | undefined;

/** The native thread that works on pixels. @throws {SdRpnError} BINARY_NOT_FOUND where the addon is missing */
export function pixelWorker(): NativeResampler {
  return (resampler ??= new (binding().Resampler)());
}

/**
 * Scales the part of a picture under `window` to `size`, each axis on its own, on a native thread.
 *
 * `window` is in whole pixels of the picture and may reach over its borders, where everything has the colour `fill`; it is
 * never built in memory. The source is not copied: it must not change meanwhile. The arithmetic is that of Pillow's
 * `Image.resize`, bit for bit. libvips' kernels are not: they shrink by a box filter first, place samples on a grid of
 * 1/64 pixel, and are off by half a pixel where just one axis is enlarged.
 *
 * @returns RGB, width * height * 3 bytes
 * @throws SdRpnError `INVALID_ARGUMENT` if the data is not width x height x 3 bytes or a side is out of range (picture and
 * window 1..65536, result 1..8192); `BINARY_NOT_FOUND` where the addon is missing
 */
export async function resample(source: RgbPixels, window: Box, size: Size, filter: Filter, fill: Color = [0, 0, 0]): Promise<Buffer> {
  const worker = pixelWorker();
  return runJob(worker, () => worker.run(source.data, source.width, source.height, window, size, filter, fill));
}
