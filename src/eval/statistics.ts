import { setImmediate } from "node:timers/promises";
import { seededRandom } from "./random.js";

/** The ends of a 95% interval. */
export interface Interval {
  low: number;
  high: number;
}

/** Draws of the bootstrap; the ends of an interval move by about a twentieth of its width between seeds. */
export const RESAMPLES = 1000;

/** How long a bootstrap may block the event loop at a time, in milliseconds. */
const PATIENCE_MS = 30;

/**
 * 95% percentile bootstrap intervals (Efron 1979) of several numbers made from the same `count` items: `statistics` gets the
 * items of a sample drawn with replacement, as indexes, and returns the numbers, NaN where a sample allows none. All numbers are
 * computed from the same samples, so differences between methods are paired. The same seed gives the same intervals, to the last bit.
 *
 * @returns one interval per number, NaN where there are no items
 */
export async function bootstrap(
  count: number,
  statistics: (sample: Int32Array) => readonly number[],
  seed: number,
  { resamples = RESAMPLES, signal }: { resamples?: number; signal?: AbortSignal } = {},
): Promise<Interval[]> {
  const random = seededRandom(seed);
  const sample = Int32Array.from({ length: count }, (_, i) => i);
  const draws: number[][] = statistics(sample).map(() => []);
  let turn = performance.now();
  for (let r = 0; r < (count > 0 ? resamples : 0); r++) {
    for (let i = 0; i < count; i++) {
      sample[i] = Math.floor(random() * count);
    }
    statistics(sample).forEach((value, i) => {
      if (!Number.isNaN(value)) {
        draws[i].push(value);
      }
    });
    if (performance.now() - turn > PATIENCE_MS) {
      await setImmediate();
      signal?.throwIfAborted();
      turn = performance.now();
    }
  }
  return draws.map((values) => {
    const sorted = Float64Array.from(values).sort();
    return { low: percentile(sorted, 0.025), high: percentile(sorted, 0.975) };
  });
}

/**
 * McNemar's test, exact and two-sided: the probability that a fair coin thrown won + lost times lands at least as
 * one-sidedly. 1 where nothing was won or lost.
 */
export function mcnemarExact(won: number, lost: number): number {
  const throws = won + lost;
  // log of the binomial coefficient, built up term by term: 2^-n alone underflows from n = 1075 on
  let logChoose = 0;
  let tail = 0;
  for (let k = 0; k <= Math.min(won, lost); k++) {
    tail += Math.exp(logChoose - throws * Math.LN2);
    logChoose += Math.log(throws - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * tail);
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i];
  }
  return sum / values.length;
}

/** Linear between the closest ranks, as NumPy's default; `sorted` ascending. */
function percentile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) {
    return NaN;
  }
  const rank = share * (sorted.length - 1);
  const below = Math.floor(rank);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
}
