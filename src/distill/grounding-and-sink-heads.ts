import type { NativeRankedHead } from "../native/binding.js";
import type { HeadChoice, HeadPair } from "../engine/head-choice.js";

/** A head counts as a grounding head if its grounding is at least this fraction of the best one's. */
const MIN_GROUNDING = 0.8;
/** Sinks need not be removed if less than this share of the grounding heads' own attention is on sinks. */
const CLEAN = 0.02;
/** A head counts as a sink head if at least this share of all its attention is on sinks, and it is no grounding head. */
const MIN_SINK = 0.2;
const MAX_SINKS = 32;

/**
 * The best `count` grounding heads. Sink heads are chosen only if the grounding heads have attention on sinks themselves;
 * otherwise removing sinks could only remove correct cells.
 */
export function chooseHeads(ranked: readonly NativeRankedHead[], count: number): HeadChoice {
  const least = MIN_GROUNDING * ranked[0].grounding;
  const grounding = ranked.filter((head) => head.grounding >= least).slice(0, count);
  const clean = grounding.reduce((sum, { sink }) => sum + sink, 0) < CLEAN * grounding.length;
  const sinks = ranked.filter((head) => head.sink >= MIN_SINK && head.grounding < least).sort((a, b) => b.sink - a.sink);
  const pair = ({ layer, head }: NativeRankedHead): HeadPair => [layer, head];
  return { grounding: grounding.map(pair), sink: clean ? [] : sinks.slice(0, MAX_SINKS).map(pair) };
}
