import type { SweepCurve } from "../sweep.js";

/** The curve of accuracy against threshold, PNG bytes. */
export async function sweepChart(_curve: SweepCurve): Promise<Buffer | null> {
  return null;
}
