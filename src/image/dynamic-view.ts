import { SdRpnError } from "../base/errors.js";
import type { Size } from "../base/types.js";
import type { ViewLayout } from "./view-layout.js";

/** How many tokens a view may take, and the side of a cell, which is one token, in pixels of the view. */
export interface TokenBudget {
  /** 28 for Qwen2.5-VL, 32 for Qwen3-VL */
  readonly cell: number;
  readonly min: number;
  readonly max: number;
}

/** A view that keeps the picture's proportions; `via` is the size that a whole picture is scaled to first. */
export interface DynamicLayout extends ViewLayout {
  readonly via: Size;
}

/** Longest side over shortest; the references refuse more. */
const MAX_RATIO = 200;

/** The first of the two resizes goes to multiples of this, whatever the model's cell is. */
const FIRST_CELL = 28;
const FIRST_BUDGET: TokenBudget = { cell: FIRST_CELL, min: 4, max: 16384 };

/**
 * The view of a whole picture for Qwen-VL models. As in the references (qwen-vl-utils, then the processor) the picture is
 * scaled twice, first to multiples of 28 pixels and then to the budget; where both sizes are the picture's own nothing is scaled.
 *
 * @throws {SdRpnError} IMAGE_INVALID for a picture more than 200 times as long as wide
 */
export function planPicture(picture: Size, budget: TokenBudget): DynamicLayout {
  const ratio = Math.max(picture.width, picture.height) / Math.min(picture.width, picture.height);
  if (ratio > MAX_RATIO) {
    throw new SdRpnError(
      "IMAGE_INVALID",
      `Expected a picture at most ${MAX_RATIO} times as long as wide but received one of ${picture.width}x${picture.height}, ${ratio.toFixed(1)} times: cut it into parts`,
    );
  }
  const via = fitToBudget(picture, FIRST_BUDGET);
  return { ...layoutOf(fitToBudget(via, budget), budget.cell), via };
}

/** The view of a crop, which is scaled once, from the picture's own pixels; null where the reference's processor refuses its proportions. */
export function planCrop(crop: Size, budget: TokenBudget): DynamicLayout | null {
  const pixels = fitToBudget(crop, budget);
  const ratio = Math.max(crop.width, crop.height) / Math.min(crop.width, crop.height);
  return ratio > MAX_RATIO ? null : { ...layoutOf(pixels, budget.cell), via: { width: crop.width, height: crop.height } };
}

function layoutOf(pixels: Size, cell: number): ViewLayout {
  return { pixels, grid: { width: pixels.width / cell, height: pixels.height / cell }, stretched: true };
}

/**
 * The processors' smart resize: sides rounded to multiples of the cell (halves to even), and scaled by a common factor where that
 * gives more cells than allowed, or fewer.
 */
function fitToBudget({ width, height }: Size, { cell, min, max }: TokenBudget): Size {
  const rounded = { width: Math.max(1, roundHalfToEven(width / cell)), height: Math.max(1, roundHalfToEven(height / cell)) };
  const cells = rounded.width * rounded.height;
  const area = width * height;
  let grid = rounded;
  // the order of the divisions is the references': their results are rounded to whole cells
  if (cells > max) {
    const beta = Math.sqrt(area / (max * cell * cell));
    grid = { width: Math.max(1, Math.floor(width / beta / cell)), height: Math.max(1, Math.floor(height / beta / cell)) };
  } else if (cells < min) {
    const beta = Math.sqrt((min * cell * cell) / area);
    grid = { width: Math.ceil((width * beta) / cell), height: Math.ceil((height * beta) / cell) };
  }
  return { width: grid.width * cell, height: grid.height * cell };
}

/** As Python's round. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) {
    return Math.round(value);
  }
  return floor % 2 === 0 ? floor : floor + 1;
}
