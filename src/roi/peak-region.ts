import type { Box } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import { blur } from "./blur.js";
import type { GridBox } from "./components.js";
import { scaleOf, toImageBox } from "./geometry.js";
import { checkCells, type NumberArray } from "./number-array.js";
import { type View, viewOf, type ViewOptions, viewSchema } from "./options.js";
import type { Proposal } from "./propose-region.js";
import { sigmoid } from "./sigmoid.js";

/**
 * The region for a second look where nothing passes the threshold: the 3x3 cells, clipped to the
 * grid, around the largest blurred probability among the cells that show a part of the picture. Its crop is at least
 * one pixel.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function peakRegion(logits: NumberArray, options: ViewOptions): Proposal {
  const sizes = parseOptions(viewSchema, options);
  checkCells(logits, sizes.grid, "logits");
  return peakOf(sigmoid(logits), viewOf(sizes));
}

/** The same for a map of 0..1 before the blur; arguments are not checked. */
export function peakOf(map: Float32Array, view: View): Proposal {
  const { width, height } = view.grid;

  const blurred = blur(map, view.grid);
  const columns = cellsOfPicture(width, view.image.width, view.model.width, scaleOf(view));
  const rows = cellsOfPicture(height, view.image.height, view.model.height, scaleOf(view));
  let peak = { x: columns[0], y: rows[0], score: -1 };
  for (const y of rows) {
    for (const x of columns) {
      const score = blurred[y * width + x];
      if (score > peak.score) {
        peak = { x, y, score };
      }
    }
  }

  const gridBox: GridBox = [
    Math.max(0, peak.x - 1),
    Math.max(0, peak.y - 1),
    Math.min(width, peak.x + 2),
    Math.min(height, peak.y + 2),
  ];
  const crop = atLeastOnePixel(toImageBox(gridBox, view), view);
  return { boxes: [{ ...crop, score: peak.score }], gridBoxes: [gridBox], region: { kind: "crop", crop, keep: null } };
}

/** The indexes along one axis of the cells that show a part of the picture, which is in the middle; at least one. */
function cellsOfPicture(cells: number, imageSide: number, modelSide: number, scale: number): number[] {
  const cell = modelSide / cells;
  const padding = (modelSide - imageSide * scale) / 2;
  const first = Math.floor(padding / cell);
  const last = Math.max(first, Math.ceil((modelSide - padding) / cell) - 1);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Tiny pictures have several cells to a pixel, so that the box may be empty after rounding down. */
function atLeastOnePixel({ x, y, width, height }: Box, { image }: View): Box {
  return {
    x: Math.min(x, image.width - 1),
    y: Math.min(y, image.height - 1),
    width: Math.max(1, width),
    height: Math.max(1, height),
  };
}
