import type { NumberArray } from "./number-array.js";
import type { RoIOptions } from "./options.js";
import { type Proposal, proposeRegion } from "./propose-region.js";

/**
 * Boxes of a map of logits (row-major, one per cell of `grid`): sigmoid, blur, threshold, connected components.
 *
 * Follows the reference implementation of SD-RPN (arXiv 2509.16944) for LLaVA: components of more than `maxArea` cells
 * and single cells are dropped, those under `minArea` widened. Boxes come in raster order of their first cells.
 * `gridBoxes` lists them all; `boxes` leaves out those that lie in the padding or are smaller than a pixel.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function boxesFromMap(logits: NumberArray, options: RoIOptions): Pick<Proposal, "boxes" | "gridBoxes"> {
  const { boxes, gridBoxes } = proposeRegion(logits, options);
  return { boxes, gridBoxes };
}
