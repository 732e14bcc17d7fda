import type { Box, Size } from "../base/types.js";

type Turn = 0 | 90 | 180 | 270;

/** A box of a picture of `size` in the picture that one gets by turning it clockwise. */
export function turnBox<B extends Box>(box: B, { width: w, height: h }: Size, turn: Turn): B {
  const { x, y, width, height } = box;
  switch (turn) {
    case 0:
      return box;
    case 90:
      return { ...box, x: h - y - height, y: x, width: height, height: width };
    case 180:
      return { ...box, x: w - x - width, y: h - y - height };
    case 270:
      return { ...box, x: y, y: w - x - width, width: height, height: width };
  }
}

/** The box of the picture of `size` that {@link turnBox} makes this one of. */
export function turnBoxBack<B extends Box>(box: B, { width, height }: Size, turn: Turn): B {
  const turned = turn % 180 === 0 ? { width, height } : { width: height, height: width };
  return turnBox(box, turned, ((360 - turn) % 360) as Turn);
}

/** The values of a grid, row by row, with the grid turned back. */
export function turnGridBack(values: Float32Array, { width, height }: Size, turn: Turn): { values: Float32Array; width: number; height: number } {
  const size = turn % 180 === 0 ? { width, height } : { width: height, height: width };
  if (turn === 0) {
    return { values, ...size };
  }
  const back = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = turnBoxBack({ x, y, width: 1, height: 1 }, size, turn);
      back[to.y * size.width + to.x] = values[y * width + x];
    }
  }
  return { values: back, ...size };
}
