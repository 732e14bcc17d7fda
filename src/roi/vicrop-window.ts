import { hasArea, scaleOf } from "./geometry.js";
import type { NumberArray } from "./number-array.js";
import type { View } from "./options.js";
import type { Box } from "../base/types.js";

/** Sides of the windows that are tried, in input sizes of the model. */
const RATIOS = [1, 1.2, 1.4, 1.6, 1.8, 2] as const;

/** The position where a window of cells has the largest sum, and how far that exceeds the sums beside it. */
interface Placed {
  x: number;
  y: number;
  sum: number;
  sharpness: number;
}

/** The window of a map, in pixels of the picture. */
export interface VicropWindow {
  crop: Box;
  /** of all that the map has in the picture, the part under the window's cells, 0..1 */
  share: number;
}

/**
 * The crop of ViCrop's relative attention (arXiv 2502.17422, the authors' window rule): for each ratio the window of
 * ratio x `inputSize` source pixels with the largest sum of the map, of which the one that exceeds its neighbours
 * most is chosen. The crop is that many pixels square around the window's centre, moved inside the picture, and cut to it
 * where the picture is smaller.
 *
 * The authors stretch the map over the picture; here the model sees the picture in the middle of its view, so cells
 * are those of the view, and what lies in the padding counts as 0.
 *
 * @param map relative attention, row-major, one number a cell
 * @param inputSize pixels of the smallest window's side, in the source picture: the model's own input size
 * @returns the whole picture where even the smallest window covers it
 */
export function vicropWindow(map: NumberArray, { grid, image, model }: View, inputSize: number): VicropWindow {
  const whole = { crop: { x: 0, y: 0, width: image.width, height: image.height }, share: 1 };
  const scale = scaleOf({ grid, image, model });
  const cell = { width: model.width / grid.width / scale, height: model.height / grid.height / scale };
  const inPicture = withoutPadding(map, { grid, image, model });
  let best: (Placed & { side: number; columns: number; rows: number }) | undefined;
  for (const ratio of RATIOS) {
    const columns = cellsOf(inputSize * ratio, cell.width, grid.width);
    const rows = cellsOf(inputSize * ratio, cell.height, grid.height);
    if (columns === grid.width && rows === grid.height) {
      if (ratio === 1) {
        return whole;
      }
      continue;
    }
    const placed = place(inPicture, grid.width, grid.height, columns, rows);
    if (!best || placed.sharpness > best.sharpness) {
      best = { ...placed, side: Math.trunc(inputSize * ratio), columns, rows };
    }
  }
  if (!best) {
    return whole;
  }
  const padding = { x: (model.width / scale - image.width) / 2, y: (model.height / scale - image.height) / 2 };
  const [x, width] = along((best.x + best.columns / 2) * cell.width - padding.x, best.side, image.width);
  const [y, height] = along((best.y + best.rows / 2) * cell.height - padding.y, best.side, image.height);
  const crop = { x, y, width, height };
  const total = inPicture.reduce((sum, value) => sum + value, 0);
  return hasArea(crop) ? { crop, share: total > 0 ? best.sum / total : 0 } : whole;
}

function cellsOf(pixels: number, cell: number, most: number): number {
  return Math.max(1, Math.min(most, Math.trunc(pixels / cell)));
}

/** The map with 0 in cells whose centre lies in the padding. */
function withoutPadding(map: NumberArray, { grid, image, model }: View): Float64Array {
  const scale = scaleOf({ grid, image, model });
  const outside = (cell: number, cells: number, side: number, pixels: number): boolean =>
    Math.abs(((cell + 0.5) / cells) * side - side / 2) > (pixels * scale) / 2;
  return Float64Array.from(map, (value, i) => {
    const x = i % grid.width;
    const y = (i - x) / grid.width;
    return outside(x, grid.width, model.width, image.width) || outside(y, grid.height, model.height, image.height) ? 0 : value;
  });
}

/** The window position with the largest sum; of equal ones the first in x-major order, as in the authors' loops. */
function place(map: Float64Array, width: number, height: number, columns: number, rows: number): Placed {
  const sums = windowSums(map, width, height, columns, rows);
  const [across, down] = [width - columns + 1, height - rows + 1];
  const at = (x: number, y: number): number => sums[y * across + x];
  let [bestX, bestY] = [0, 0];
  for (let x = 0; x < across; x++) {
    for (let y = 0; y < down; y++) {
      if (at(x, y) > at(bestX, bestY)) {
        [bestX, bestY] = [x, y];
      }
    }
  }
  const beside = [
    [bestX - 1, bestY],
    [bestX + 1, bestY],
    [bestX, bestY - 1],
    [bestX, bestY + 1],
  ].filter(([x, y]) => x >= 0 && x < across && y >= 0 && y < down);
  const around = beside.reduce((sum, [x, y]) => sum + at(x, y), 0) / beside.length;
  const sum = at(bestX, bestY);
  return { x: bestX, y: bestY, sum, sharpness: (sum - around) / (columns * rows) };
}

/** Sums of the map under each place of the window, row-major. */
function windowSums(map: Float64Array, width: number, height: number, columns: number, rows: number): Float64Array {
  const [across, down] = [width - columns + 1, height - rows + 1];
  const sums = new Float64Array(across * down);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      let sum = 0;
      for (let row = y; row < y + rows; row++) {
        for (let column = x; column < x + columns; column++) {
          sum += map[row * width + column];
        }
      }
      sums[y * across + x] = sum;
    }
  }
  return sums;
}

/** `side` pixels around `centre`, moved and cut to 0..`limit`: where it begins and how long it is. */
function along(centre: number, side: number, limit: number): [start: number, length: number] {
  const length = Math.min(side, limit);
  const start = Math.trunc(centre) - Math.floor(length / 2);
  return [Math.max(0, Math.min(limit - length, start)), length];
}
