import type { Box, Size } from "../base/types.js";

/**
 * A box in parts of the picture, 0..1 along either side, so that it can be drawn over a copy of any size. Other
 * properties, such as `score`, stay.
 *
 * @param box in pixels, such as one of `roi.boxes` or `roi.region.crop`
 * @param image the size of the picture in pixels, such as `roi.image`
 */
export function normalizedBox<B extends Box>(box: B, { width, height }: Size): B {
  return { ...box, x: box.x / width, y: box.y / height, width: box.width / width, height: box.height / height };
}
