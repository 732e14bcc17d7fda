import type { Region, ScoredBox } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import { blur } from "./blur.js";
import { type Component, components, type GridBox } from "./components.js";
import { hasArea, toImageBox } from "./geometry.js";
import { regionOf } from "./masked-region.js";
import { checkCells, type NumberArray } from "./number-array.js";
import { type RoIOptions, roiSchema, type View, viewOf } from "./options.js";
import { sigmoid } from "./sigmoid.js";
import { foreground } from "./threshold.js";

/** The boxes of a map, and the region for the second look. */
export interface Proposal {
  /** in source pixels; boxes without a pixel are left out */
  boxes: ScoredBox[];
  /** the same in cells, boxes without a pixel included */
  gridBoxes: GridBox[];
  region: Region;
}

/**
 * Boxes and region of a map of logits (row-major, one per cell of `grid`) in one pass; see {@link boxesFromMap} and
 * {@link regionFromMap} for either.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function proposeRegion(logits: NumberArray, options: RoIOptions): Proposal {
  const checked = parseOptions(roiSchema, options);
  checkCells(logits, checked.grid, "logits");
  return readMap(sigmoid(logits), checked);
}

/** The same for probabilities before the blur, row-major [height * width] of `grid`, none of them NaN; arguments are not checked. */
export function readMap(probabilities: Float32Array, { threshold, minArea, maxArea, ...sizes }: RoIOptions): Proposal {
  const view = viewOf(sizes);
  const cells = view.grid.width * view.grid.height;
  const limits = { min: minArea ?? Math.max(1, Math.round((4 * cells) / 576)), max: maxArea ?? Math.round((225 * cells) / 576) };

  const blurred = blur(probabilities, view.grid);
  const mask = foreground(blurred, threshold);
  const gridBoxes = components(mask, view.grid)
    .filter(({ area }) => area <= limits.max && (area > 1 || limits.min <= 1))
    .map((component) => (component.area < limits.min ? widened(component, view) : component.box));

  return { boxes: scoredBoxes(gridBoxes, blurred, view), gridBoxes, region: regionOf(gridBoxes, mask, view) };
}

function scoredBoxes(gridBoxes: readonly GridBox[], blurred: Float32Array, view: View): ScoredBox[] {
  return gridBoxes.map((box) => ({ ...toImageBox(box, view), score: maximumIn(box, blurred, view) })).filter(hasArea);
}

/**
 * A small component, grown around its centre to at least an eighth of either side (3 of 24 cells). Kept from the
 * reference: the size counts one cell too many and the far edge stops short of the last cell, so boxes at the right or
 * bottom border lose a cell.
 */
function widened({ box: [x0, y0, x1, y1] }: Component, { grid }: View): GridBox {
  const [left, right] = grown(x0, x1, grid.width);
  const [top, bottom] = grown(y0, y1, grid.height);
  return [left, top, right, bottom];
}

function grown(from: number, to: number, side: number): [number, number] {
  const centre = (from + to) / 2;
  const length = Math.max(1, Math.round((3 * side) / 24), to - from + 1);
  return [Math.max(0, Math.trunc(centre - length / 2)), Math.min(Math.max(1, side - 1), Math.trunc(centre + length / 2))];
}

function maximumIn([x0, y0, x1, y1]: GridBox, map: Float32Array, { grid }: View): number {
  let maximum = 0;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      maximum = Math.max(maximum, map[y * grid.width + x]);
    }
  }
  return maximum;
}
