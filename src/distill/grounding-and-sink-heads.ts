import type { NativeRankedHead } from "../native/binding.js";
import type { HeadChoice, HeadPair } from "./head-choice.js";

/** A head points if it has at least this part of the best one's grounding. */
const MIN_GROUNDING = 0.8;
/** Sinks need no removal where less than this share of the pointing heads' own attention piles up. */
const CLEAN = 0.02;
/** A head is a sink if at least this share of all its attention piles up, and it does not point. */
const MIN_SINK = 0.2;
const MAX_SINKS = 32;

/**
 * The best `count` that point. Sinks, the heads whose attention piles up uselessly, are chosen where those that point have
 * some of it themselves; otherwise they could only take away what is right.
 */
export function chooseHeads(ranked: readonly NativeRankedHead[], count: number): HeadChoice {
  const least = MIN_GROUNDING * ranked[0].grounding;
  const grounding = ranked.filter((head) => head.grounding >= least).slice(0, count);
  const clean = grounding.reduce((sum, { sink }) => sum + sink, 0) < CLEAN * grounding.length;
  const sinks = ranked.filter((head) => head.sink >= MIN_SINK && head.grounding < least).sort((a, b) => b.sink - a.sink);
  const pair = ({ layer, head }: NativeRankedHead): HeadPair => [layer, head];
  return { grounding: grounding.map(pair), sink: clean ? [] : sinks.slice(0, MAX_SINKS).map(pair) };
}
