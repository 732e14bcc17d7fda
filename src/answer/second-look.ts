import { SdRpnError } from "../base/errors.js";
import type { Box, Region, Size } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import type { NativeView } from "../native/binding.js";
import { throwIfAborted } from "../base/abort.js";
import { turnBox } from "../image/turned.js";
import type { GridBox } from "../roi/components.js";

/** One region of a picture for a second look. */
export interface Look {
  box: Box;
  /** cells of the crop's own grid whose tokens are fed; null: all */
  keep: Int32Array | null;
  /** where it lies among the picture's cells; null: the cells that it touches */
  cells: GridBox | null;
}

/** The second look at a region, if it has one. */
export function looksOfRegion({ crop, keep }: Region, cells: GridBox | null = null): Look[] {
  return crop ? [{ box: crop, keep: keep && Int32Array.from(keep), cells }] : [];
}

/**
 * A second look at each of the caller's boxes, clipped to the picture.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where one lies outside
 */
export function looksAtBoxes(boxes: readonly Box[], { source }: OpenedPicture): Look[] {
  const { info } = source;
  return boxes.map((box) => ({ box: turnBox(inside(box, info), info, info.rotated), keep: null, cells: null }));
}

/**
 * Cuts the regions out of the picture and scales each to its view.
 *
 * @param aligned whether the views' tokens share positions with the cells of the picture that they show
 */
export async function cutViews({ source, layout, views }: OpenedPicture, looks: readonly Look[], aligned: boolean, signal?: AbortSignal): Promise<NativeView[]> {
  const cut: NativeView[] = [];
  for (const { box, keep, cells } of looks) {
    throwIfAborted(signal);
    const view = await views.cut(source, box, views.planCrop(box));
    cut.push({ ...view, keep, box: aligned ? Int32Array.from(cells ?? cellsUnder(box, source, layout.grid)) : null });
  }
  return cut;
}

/** The cells of a view, which the picture fills, that a part of it touches. */
function cellsUnder({ x, y, width, height }: Box, picture: Size, grid: Size): GridBox {
  const [right, bottom] = [Math.ceil(((x + width) / picture.width) * grid.width), Math.ceil(((y + height) / picture.height) * grid.height)];
  return [Math.floor((x / picture.width) * grid.width), Math.floor((y / picture.height) * grid.height), right, bottom];
}

function inside({ x, y, width, height }: Box, picture: Size): Box {
  const left = Math.max(0, Math.floor(x));
  const top = Math.max(0, Math.floor(y));
  const right = Math.min(picture.width, Math.ceil(x + width));
  const bottom = Math.min(picture.height, Math.ceil(y + height));
  if (left >= right || top >= bottom) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected boxes that overlap the ${picture.width}x${picture.height} picture for roi but received one at ${x},${y} of size ${width}x${height}`,
    );
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}
