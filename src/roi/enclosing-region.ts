import type { Box, Region, ScoredBox, Size } from "../base/types.js";
import { planCrop, type TokenBudget } from "../image/dynamic-view.js";
import { blur } from "./blur.js";
import { enclosingBox, type GridBox } from "./components.js";
import { hasArea } from "./geometry.js";
import { resampledMask } from "./masked-region.js";
import { foreground } from "./threshold.js";

/**
 * The networks for Qwen-VL that are published: those of SD-RPN (arXiv 2509.16944), and its successor Q-Zoom. Either proposes one
 * region, the box around all of the foreground, whatever its shape; they differ in the cells that are sinks, and in what is read of the crop.
 */
export type EnclosingKind = "sdrpn-qwen" | "qzoom";

interface EnclosingRule {
  /** cells of larger maps have sinks in the corner; smaller ones do not */
  sinksAbove: number;
  /** the shortest side of a crop in pixels of the picture, to which smaller ones grow; 0: none grows */
  grownTo: number;
  /** a crop with a shorter side is no region */
  refusedUnder: number;
  /** whether only foreground cells of the crop are read */
  masked: boolean;
}

const RULES: Readonly<Record<EnclosingKind, EnclosingRule>> = {
  "sdrpn-qwen": { sinksAbove: 768, grownTo: 0, refusedUnder: 28, masked: true },
  qzoom: { sinksAbove: 256, grownTo: 28, refusedUnder: 0, masked: false },
};

export interface EnclosingOptions {
  kind: EnclosingKind;
  /** cells of the map */
  grid: Size;
  /** the picture in pixels */
  image: Size;
  /** absolute, or relative to the map's maximum where negative */
  threshold: number;
  /** of a crop's view */
  budget: TokenBudget;
  /** row-major, false where a cell is a sink; where it is given there are no sinks by place (Q-Zoom for Qwen3-VL) */
  sinkKeep?: ArrayLike<boolean>;
}

/**
 * The region of a map of probabilities (row-major, before the blur): one box around everything above the threshold.
 *
 * `boxes` has that box in source pixels with the greatest blurred probability in it, and `region.keep` indexes the cells of the
 * crop's own grid, which the budget decides. No region: nothing above the threshold, or a crop that the reference's processor refuses.
 */
export function enclosingRegion(probabilities: Float32Array, options: EnclosingOptions): { boxes: ScoredBox[]; gridBoxes: GridBox[]; region: Region } {
  const { grid, image, budget } = options;
  const rule = RULES[options.kind];
  const blurred = blur(withoutSinks(probabilities, options, rule), grid);
  const mask = foreground(blurred, options.threshold);
  const cells = enclosingBox(mask, grid);
  const crop = cells && toPicture(cells, grid, image, budget.cell, rule.grownTo);
  const layout = crop && hasArea(crop) && Math.min(crop.width, crop.height) >= rule.refusedUnder ? planCrop(crop, budget) : null;
  const keep = cells && layout && rule.masked ? resampledMask(mask, cells, grid, layout.grid) : null;
  if (!cells || !crop || !layout || keep?.length === 0) {
    return { boxes: [], gridBoxes: cells ? [cells] : [], region: { kind: "none", crop: null, keep: null } };
  }
  const whole = !keep || keep.length === layout.grid.width * layout.grid.height;
  const score = blurred.reduce((greatest, value) => Math.max(greatest, value), 0);
  return { boxes: [{ ...crop, score }], gridBoxes: [cells], region: { kind: whole ? "crop" : "masked", crop, keep: whole ? null : keep } };
}

/** Cells that attract attention whatever is asked count as nothing: the reference's corner of the map, or those that are given. */
function withoutSinks(probabilities: Float32Array, { grid, sinkKeep }: EnclosingOptions, { sinksAbove }: EnclosingRule): Float32Array {
  const { width, height } = grid;
  if (sinkKeep) {
    return probabilities.map((value, cell) => (sinkKeep[cell] ? value : 0));
  }
  if (width * height <= sinksAbove) {
    return probabilities;
  }
  const left = Math.floor(height / 4); // Q-Zoom has at least one here, which the first row holds already
  const top = Math.floor(width / 4);
  return probabilities.map((value, cell) => ((cell % width === 0 && cell < left * width) || cell < top ? 0 : value));
}

/** A box of cells in whole pixels of the picture; every step in float32, as the references do it. */
function toPicture([x0, y0, x1, y1]: GridBox, grid: Size, image: Size, cell: number, grownTo: number): Box {
  const [left, right] = along(x0, x1, grid.width, image.width, cell, grownTo);
  const [top, bottom] = along(y0, y1, grid.height, image.height, cell, grownTo);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function along(from: number, to: number, cells: number, side: number, cell: number, grownTo: number): [number, number] {
  const scale = Math.fround(side / (cell * cells));
  const toPixel = (edge: number): number => Math.min(side, Math.max(0, Math.fround(Math.fround(edge * cell) * scale)));
  let [low, high] = [toPixel(from), toPixel(to)];
  if (Math.fround(high - low) < grownTo) {
    // grown to both sides, then slid back inside
    const padding = Math.fround(Math.fround(grownTo - Math.fround(high - low)) / 2);
    low = Math.fround(low - padding);
    high = Math.fround(high + padding);
    if (low < 0) {
      high = Math.fround(high - low);
      low = 0;
    }
    if (high > side) {
      low = Math.max(0, Math.fround(low - Math.fround(high - side)));
      high = side;
    }
  }
  return [Math.trunc(low), Math.trunc(high)];
}
