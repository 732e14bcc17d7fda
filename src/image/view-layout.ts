import type { Box, Size } from "../base/types.js";

/** How a picture lies in front of the model: `grid` cells, one token each, over a view of `pixels`. */
export interface ViewLayout {
  readonly grid: Size;
  readonly pixels: Size;
  /** the picture fills the view, its proportions changed a little; otherwise it lies in the middle, with padding around */
  readonly stretched?: boolean;
}

export function cellCount({ grid }: Pick<ViewLayout, "grid">): number {
  return grid.width * grid.height;
}

/** The default side of a cell in pixels: that of a CLIP ViT-L/14 patch. */
const DEFAULT_CELL = 14;

/** The pixels of a view of which only the grid is known. Cells are squares; `longest` is the view's longer side. */
export function pixelsOfGrid({ width, height }: Size, longest?: number): Size {
  const cell = longest === undefined ? DEFAULT_CELL : longest / Math.max(width, height);
  return { width: width * cell, height: height * cell };
}

/**
 * The part of the picture's plane that the whole view shows, in whole pixels of the picture: the smallest window of the
 * view's aspect ratio with the picture in its middle. It reaches over the picture where their aspect ratios differ.
 */
export function windowOfView(picture: Size, { width, height }: Size): Box {
  const window = {
    width: Math.max(picture.width, Math.ceil((picture.height * width) / height)),
    height: Math.max(picture.height, Math.ceil((picture.width * height) / width)),
  };
  const before = (outer: number, inner: number): number => 0 - Math.floor((outer - inner) / 2); // 0, never -0
  return { x: before(window.width, picture.width), y: before(window.height, picture.height), ...window };
}
