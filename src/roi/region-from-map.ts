import type { Region } from "../base/types.js";
import type { NumberArray } from "./number-array.js";
import type { RoIOptions } from "./options.js";
import { proposeRegion } from "./propose-region.js";

/**
 * The region for the second look, from a map of logits (row-major, one per cell of `grid`).
 *
 * Without boxes: "none". With one: "crop", that box in source pixels. With several: "masked", the box around all
 * foreground cells, components that were dropped included, and `keep`, the foreground cells of it scaled to the grid.
 * A region without a pixel is "none" as well. This is the effective behaviour of the reference implementation of SD-RPN
 * (arXiv 2509.16944) for LLaVA.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function regionFromMap(logits: NumberArray, options: RoIOptions): Region {
  return proposeRegion(logits, options).region;
}
