import type { Box, Size } from "../base/types.js";
import { type Filter, resample, type RgbPixels } from "./resample.js";

/**
 * Scales the part of a picture under `window`, which lies inside of it, to `size`, the axes in Pillow 13's order. Each axis is rounded
 * to whole levels before the other one is scaled, so the order is seen in the result.
 *
 * Up to Pillow 12, with which LLaVA's references ran, columns are always scaled first. Pillow 13 begins with the rows where they become fewer,
 * and by more than twice as many as the columns.
 */
export async function scaleAxes(source: RgbPixels, window: Box, size: Size, filter: Filter): Promise<RgbPixels> {
  const rowsFirst = window.height > size.height && window.height - size.height > 2 * (window.width - size.width);
  if (!rowsFirst || window.width === size.width) {
    return { ...size, data: await resample(source, window, size, filter), channels: 3 };
  }
  const half = { width: window.width, height: size.height };
  const scaled: RgbPixels = { ...half, data: await resample(source, window, half, filter), channels: 3 };
  return { ...size, data: await resample(scaled, { x: 0, y: 0, ...half }, size, filter), channels: 3 };
}
