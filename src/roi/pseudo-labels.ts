import { z } from "zod";
import { checkCells, type NumberArray } from "./number-array.js";
import { enclosingBox } from "./components.js";
import type { Size } from "../base/types.js";
import { parseOptions } from "../base/validate.js";

/** Foreground, background, or left out of the loss. */
export type PseudoLabel = 1 | 0 | -100;

const schema = z.strictObject({
  grid: z.strictObject({ width: z.int().min(1), height: z.int().min(1) }),
  sinkThreshold: z.number().default(1e-3),
  foregroundRatio: z.number().nonnegative().default(0.2),
  backgroundRatio: z.number().nonnegative().default(0.1),
  maxForegroundArea: z.number().nonnegative().default(0.5),
});

/** The defaults are those the published LLaVA checkpoints were trained with. */
export interface PseudoLabelOptions {
  /** cells of the attention maps */
  grid: Size;
  /** cells whose sink attention reaches this are attention sinks and count as 0; by default 0.001 */
  sinkThreshold?: number;
  /** foreground exceeds this part of the greatest attention; by default 0.2 */
  foregroundRatio?: number;
  /** background is below this part of the greatest attention; by default 0.1 */
  backgroundRatio?: number;
  /** if the foreground box covers at least this part of the grid, every label is -100; by default 0.5 */
  maxForegroundArea?: number;
}

export interface PseudoLabels {
  /** one per cell, row-major */
  labels: PseudoLabel[];
  /** the cells that enclose the foreground, `[y0, x0, y1, x1]`, all inclusive; the whole grid where there is none */
  foregroundBox: [y0: number, x0: number, y1: number, x1: number];
}

/**
 * Training targets for the region proposal network from a model's own attention (self-distillation, SD-RPN, arXiv
 * 2509.16944): cells with much attention are foreground, cells with little attention outside the foreground's box are
 * background, and the others are left out of the loss. Compares in float32, as the reference implementation does.
 *
 * @param sink attention that tells which cells are sinks, one number per cell, row-major
 * @param grounding attention from the answer to the image, likewise
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function pseudoLabels(sink: NumberArray, grounding: NumberArray, options: PseudoLabelOptions): PseudoLabels {
  const { grid, sinkThreshold, foregroundRatio, backgroundRatio, maxForegroundArea } = parseOptions(schema, options);
  checkCells(sink, grid, "sink");
  checkCells(grounding, grid, "grounding");

  const isSink = Array.from(Float32Array.from(sink), (value) => value >= Math.fround(sinkThreshold));
  const attention = Float32Array.from(grounding, (value, cell) => (isSink[cell] ? 0 : value));
  const greatest = attention.reduce((a, b) => Math.max(a, b));
  const foregroundLimit = Math.max(0, Math.fround(Math.fround(foregroundRatio) * greatest));
  const backgroundLimit = Math.fround(Math.fround(backgroundRatio) * greatest);

  const foreground = Array.from(attention, (value) => value > foregroundLimit);
  const [x0, y0, x1, y1] = enclosingBox(foreground, grid) ?? [0, 0, grid.width, grid.height];
  const tooLarge = (x1 - x0) * (y1 - y0) >= maxForegroundArea * attention.length;

  const labels = Array.from(attention, (value, cell): PseudoLabel => {
    if (tooLarge) {
      return -100;
    }
    if (foreground[cell]) {
      return 1;
    }
    const x = cell % grid.width;
    const y = Math.floor(cell / grid.width);
    const inside = x >= x0 && x < x1 && y >= y0 && y < y1;
    return !inside && value < backgroundLimit ? 0 : -100;
  });
  return { labels, foregroundBox: [y0, x0, y1 - 1, x1 - 1] };
}
