import type { Box } from "../base/types.js";

/**
 * How much of the object asked about the second look has shown: the share of the area of the union of `boxes` that lies in
 * any of `crops`. Exact: computed on the grid made by the edges of all boxes.
 *
 * @returns 0..1; 0 without crops, NaN without boxes
 */
export function regionRecall(boxes: readonly Box[], crops: readonly Box[]): number {
  const xs = edges([...boxes, ...crops].flatMap(({ x, width }) => [x, x + width]));
  const ys = edges([...boxes, ...crops].flatMap(({ y, height }) => [y, y + height]));
  let whole = 0;
  let shown = 0;
  for (let i = 0; i + 1 < xs.length; i++) {
    for (let j = 0; j + 1 < ys.length; j++) {
      const cell = { x: xs[i], y: ys[j], width: xs[i + 1] - xs[i], height: ys[j + 1] - ys[j] };
      if (boxes.some((box) => holds(box, cell))) {
        whole += cell.width * cell.height;
        shown += crops.some((crop) => holds(crop, cell)) ? cell.width * cell.height : 0;
      }
    }
  }
  return shown / whole;
}

function edges(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function holds(outer: Box, inner: Box): boolean {
  return outer.x <= inner.x && outer.y <= inner.y && outer.x + outer.width >= inner.x + inner.width && outer.y + outer.height >= inner.y + inner.height;
}
