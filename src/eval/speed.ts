import type { MethodTimings } from "./methods/method.js";
import type { Prediction, TimingLine } from "./prediction.js";
import { mean } from "./statistics.js";

/** How fast a method was: wall time of the answer, with the vision tower and the crop, without decoding and scaling the picture. */
export interface MethodSpeed {
  name: string;
  /** answers that were timed; the first item of each process is left out */
  items: number;
  perSecond: number;
  /** items per second relative to `none` on the same items; null without it */
  relative: number | null;
  tokensPerSecond: number;
  /** mean milliseconds of an answer, per phase */
  phases: MethodTimings;
}

const PHASES = ["decode", "vision", "prefill", "rpn", "look", "crop", "generate", "total"] as const satisfies readonly (keyof MethodTimings)[];

/**
 * Throughput as the papers count it: the time of answering summed over the items (SD-RPN's evaluation times the call of
 * generate, with the second look in it). Only items that every method was timed on count, so that ratios are over the same items.
 */
export function speeds(methods: readonly string[], timings: readonly TimingLine[], predictions: ReadonlyMap<string, readonly Prediction[]>): MethodSpeed[] {
  const byMethod = new Map(methods.map((name) => [name, new Map<number, TimingLine>()]));
  for (const line of timings) {
    byMethod.get(line.method)?.set(line.index, line);
  }
  const counted = indexesOfAll([...byMethod.values()]);
  const none = byMethod.get("none");
  const seconds = (lines: ReadonlyMap<number, TimingLine>): number => counted.reduce((sum, index) => sum + lines.get(index)!.timings.total, 0) / 1000;
  return methods.map((name) => {
    const lines = byMethod.get(name)!;
    const spent = seconds(lines);
    const tokens = new Map(predictions.get(name)!.map((row) => [row.index, row.tokens.completion]));
    const phases = Object.fromEntries(PHASES.map((phase) => [phase, mean(counted.map((index) => lines.get(index)!.timings[phase]))])) as unknown as MethodTimings;
    return {
      name,
      items: counted.length,
      perSecond: counted.length / spent,
      relative: none ? seconds(none) / spent : null,
      tokensPerSecond: counted.reduce((sum, index) => sum + (tokens.get(index) ?? 0), 0) / spent,
      phases,
    };
  });
}

/** Items that were timed for all methods, without the first item of each process unless there are no others. */
function indexesOfAll(lines: readonly ReadonlyMap<number, TimingLine>[]): number[] {
  const [one, ...others] = lines;
  const all = [...one.keys()].filter((index) => others.every((other) => other.has(index)));
  const later = all.filter((index) => lines.every((other) => !other.get(index)!.first));
  return later.length > 0 ? later : all;
}
