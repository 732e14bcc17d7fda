import type { Box } from "../base/types.js";
import type { GridBox } from "./components.js";
import type { View } from "./options.js";

/**
 * A box of cells in pixels of the source picture, clipped to it, its edges rounded down.
 *
 * The model sees the picture scaled to fit its view and padded in the middle of it. Scale and padding are computed in
 * double, an edge in float32 with every step rounded, as the reference implementation of SD-RPN does; so edges may
 * differ by a pixel from exact arithmetic. A box in the padding, or one of less than a pixel, has no width or height.
 */
export function toImageBox([x0, y0, x1, y1]: GridBox, { grid, image, model }: View): Box {
  const scale = scaleOf({ grid, image, model });
  const [left, right] = toPixels([x0, x1], grid.width, image.width, model.width, scale);
  const [top, bottom] = toPixels([y0, y1], grid.height, image.height, model.height, scale);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Whether a box contains a pixel. */
export function hasArea({ width, height }: Box): boolean {
  return width > 0 && height > 0;
}

/** Pixels of the model's view per pixel of the source picture. */
export function scaleOf({ image, model }: View): number {
  return Math.min(model.width / image.width, model.height / image.height);
}

function toPixels(cells: [number, number], gridSide: number, imageSide: number, modelSide: number, scale: number): number[] {
  const padding = (modelSide - Math.trunc(imageSide * scale)) / 2;
  return cells.map((cell) => {
    const inView = Math.fround((cell * modelSide) / gridSide);
    const unpadded = Math.fround(inView - Math.fround(padding));
    const edge = Math.fround(unpadded / Math.fround(scale));
    return Math.trunc(Math.min(Math.max(edge, 0), imageSide));
  });
}
