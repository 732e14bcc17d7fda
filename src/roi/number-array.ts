import type { Size } from "../base/types.js";
import { invalidArgument } from "../base/validate.js";

/** Any array of numbers: `number[]`, `Float32Array`, `Float64Array` and their like. */
export type NumberArray = ArrayLike<number>;

/**
 * Checks that `values` holds one number per cell of `grid`; infinities are accepted, NaN is not.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function checkCells(values: NumberArray, grid: Size, name: string): void {
  const cells = grid.width * grid.height;
  if (typeof values !== "object" || values === null || values.length !== cells) {
    throw invalidArgument(`${cells} numbers, one per cell of the ${grid.width}x${grid.height} grid,`, name, values);
  }
  for (let cell = 0; cell < cells; cell++) {
    if (typeof values[cell] !== "number" || Number.isNaN(values[cell])) {
      throw invalidArgument("a number that is not NaN", `${name}[${cell}]`, values[cell]);
    }
  }
}
