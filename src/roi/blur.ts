import type { Size } from "../base/types.js";
import type { NumberArray } from "./number-array.js";

/** Weights of a Gaussian with sigma 1 at -1, 0 and 1, and their outer product, in float32 as torchvision makes them. */
const TAIL = Math.fround(Math.exp(-0.5));
const SUM = Math.fround(TAIL + 1 + TAIL);
const SIDE = Math.fround(TAIL / SUM);
const CENTRE = Math.fround(1 / SUM);
const KERNEL = [SIDE, CENTRE, SIDE].map((row) => [SIDE, CENTRE, SIDE].map((column) => Math.fround(row * column)));

/**
 * The 3x3 Gaussian blur (sigma 1) of a row-major map: the border is mirrored without repeating the edge, as torchvision's
 * `gaussian_blur` does; a side of one cell, which that cannot mirror, repeats its only cell. Summed in float32 by rows,
 * rounded once per product and addition, as PyTorch's convolution (fused multiply-add) was found to do.
 */
export function blur(map: NumberArray, { width, height }: Size): Float32Array {
  const blurred = new Float32Array(width * height);
  const columns = Array.from({ length: width }, (_, x) => neighbours(x, width));
  for (let y = 0; y < height; y++) {
    const rows = neighbours(y, height);
    for (let x = 0; x < width; x++) {
      const [left, middle, right] = columns[x];
      let sum = 0;
      for (let i = 0; i < 3; i++) {
        const row = rows[i] * width;
        const [a, b, c] = KERNEL[i];
        sum = Math.fround(sum + a * map[row + left]);
        sum = Math.fround(sum + b * map[row + middle]);
        sum = Math.fround(sum + c * map[row + right]);
      }
      blurred[y * width + x] = sum;
    }
  }
  return blurred;
}

function neighbours(index: number, side: number): [number, number, number] {
  const mirrored = Math.min(1, side - 1);
  return [index > 0 ? index - 1 : mirrored, index, index < side - 1 ? index + 1 : side - 1 - mirrored];
}
