import type { Region, Size } from "../base/types.js";
import { enclosingBox, type GridBox } from "./components.js";
import { hasArea, toImageBox } from "./geometry.js";
import type { View } from "./options.js";

/**
 * No box: nothing to look at. One: that box, whole. Several: the box around the whole foreground, dropped components
 * included, of which only the cells that are foreground are kept (the reference's upscale method "mask").
 */
export function regionOf(gridBoxes: readonly GridBox[], mask: readonly boolean[], view: View): Region {
  const enclosing = gridBoxes.length > 1 ? enclosingBox(mask, view.grid) : (gridBoxes[0] ?? null);
  const crop = enclosing && toImageBox(enclosing, view);
  if (!enclosing || !crop || !hasArea(crop)) {
    return { kind: "none", crop: null, keep: null };
  }
  if (gridBoxes.length === 1) {
    return { kind: "crop", crop, keep: null };
  }
  const keep = resampledMask(mask, enclosing, view.grid, view.grid);
  return keep.length > 0 ? { kind: "masked", crop, keep } : { kind: "none", crop: null, keep: null };
}

/** The two source cells of an output cell along an axis, and their weights. */
interface Tap {
  near: number;
  far: number;
  nearWeight: number;
  farWeight: number;
}

/**
 * The part of a mask inside `box`, scaled bilinearly to the grid `to`: row-major indexes of the cells above a half.
 *
 * Exact halves occur at sides of 8, 12 and 16 cells, so the rounding is that of PyTorch's `interpolate` with
 * `align_corners=False`: positions in double from a float32 scale, float32 weights and sums, columns first.
 */
export function resampledMask(mask: ArrayLike<boolean>, [x0, y0, x1, y1]: GridBox, from: Size, to: Size): number[] {
  const columns = taps(x1 - x0, to.width);
  const rows = taps(y1 - y0, to.height);
  const value = (x: number, y: number): number => (mask[(y0 + y) * from.width + x0 + x] ? 1 : 0);
  const along = (tap: Tap, near: number, far: number): number =>
    Math.fround(Math.fround(tap.nearWeight * near) + Math.fround(tap.farWeight * far));
  const inRow = (column: Tap, y: number): number => along(column, value(column.near, y), value(column.far, y));

  const keep: number[] = [];
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      if (along(row, inRow(column, row.near), inRow(column, row.far)) > 0.5) {
        keep.push(y * to.width + x);
      }
    });
  });
  return keep;
}

function taps(from: number, to: number): Tap[] {
  const scale = Math.fround(from / to);
  return Array.from({ length: to }, (_, index) => {
    const position = Math.max(0, (index + 0.5) * scale - 0.5);
    const near = Math.floor(position);
    const farWeight = Math.fround(position - near);
    return { near, far: Math.min(near + 1, from - 1), nearWeight: Math.fround(1 - farWeight), farWeight };
  });
}
