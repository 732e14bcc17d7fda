import { SdRpnError } from "../base/errors.js";
import type { Size } from "../base/types.js";
import type { NativeModelInfo } from "../native/binding.js";

/** Patches of a cell of Qwen-VL's views: 2 x 2. */
const PATCHES = 4;

type TowerMemory = Pick<NativeModelInfo["vision"], "patchBytes" | "pairBytes">;

/**
 * Refuses a view before memory is taken for it: systems promise memory that they do not have, and end the process that uses it.
 *
 * @param grid of the view, in cells
 * @param available bytes
 * @throws {SdRpnError} OUT_OF_MEMORY with what is needed and what there is
 */
export function checkTowerMemory({ width, height }: Size, { patchBytes, pairBytes }: TowerMemory, available = process.availableMemory()): void {
  const patches = PATCHES * width * height;
  const needed = patches * (patchBytes + patches * pairBytes);
  if (needed > available) {
    throw new SdRpnError(
      "OUT_OF_MEMORY",
      `A view of ${width * height} tokens takes ${megabytes(needed)} in the vision tower, but ${megabytes(available)} are free: ask with fewer imageTokens`,
    );
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
