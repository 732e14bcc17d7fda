import type { Box } from "../../base/types.js";
import type { Engine } from "../../engine/engine.js";
import type { HeadChoice } from "../../engine/head-choice.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { NativeTimings } from "../../native/binding.js";
import { hasArea, toImageBox } from "../../roi/geometry.js";
import { viewOfPicture } from "../../roi/options.js";
import { peakOf } from "../../roi/peak-region.js";
import { pseudoLabels } from "../../roi/pseudo-labels.js";
import { type Asked, type Proposed, relativeToMaximum } from "./method.js";

/** The longest answer whose attention is read, as in the published evaluation of this method. */
export const ATTENTION_MAX_TOKENS = 32;

/** The part of the greatest attention that foreground exceeds, as in the labels of the published networks. */
const FOREGROUND = 0.2;

/** Cells whose sink attention reaches this count as 0. */
const SINK = 1e-3;

interface Attended {
  /** the box around the foreground in pixels of the picture; null where it is spread over half the view or more, which points nowhere */
  crop: Box | null;
  /** mean attention of the heads to each cell, and the same where sinks count as 0 */
  grounding: Float32Array;
  withoutSinks: Float32Array;
  /** of the answer */
  tokens: number;
  timings: NativeTimings;
}

/**
 * The maps that networks are trained on, made at the time of the question: the model answers once with one view while the
 * attention of its tokens to the picture is read, and the rule of the pseudo-labels makes a box of it.
 *
 * @param prompt the tokens behind the picture
 */
export async function attend(
  engine: Engine,
  { source, layout, session }: OpenedPicture,
  prompt: Int32Array,
  { heads, maxTokens = ATTENTION_MAX_TOKENS, foreground = FOREGROUND }: { heads: HeadChoice; maxTokens?: number; foreground?: number },
  signal?: AbortSignal,
): Promise<Attended> {
  const params = { grounding: heads.grounding.flat(), sink: heads.sink.flat(), maxTokens };
  const { grounding, sink, tokens, timings } = await engine.labelMaps(session.id, prompt, params, signal);
  const rule = { grid: layout.grid, sinkThreshold: SINK, foregroundRatio: foreground };
  const { labels, foregroundBox: [y0, x0, y1, x1] } = pseudoLabels(sink, grounding, rule);
  const box = labels.includes(1) ? toImageBox([x0, y0, x1 + 1, y1 + 1], viewOfPicture(layout, source)) : null;
  const withoutSinks = grounding.map((value, cell) => (sink[cell] >= Math.fround(SINK) ? 0 : value));
  return { crop: box && hasArea(box) ? box : null, grounding, withoutSinks, tokens, timings };
}

/**
 * The attention of the loaded heads. A threshold is a part of the greatest attention, whichever its sign; the score of the box
 * is the greatest attention itself.
 */
export async function proposeByAttention(engine: Engine, { picture, tokens, threshold = FOREGROUND, signal }: Asked): Promise<Proposed> {
  const heads = engine.requireHeads();
  const { crop, withoutSinks, timings } = await attend(engine, picture, tokens, { heads, foreground: Math.abs(threshold) }, signal);
  const map = relativeToMaximum(withoutSinks);
  const score = withoutSinks.reduce((a, b) => Math.max(a, b), 0);
  return {
    map,
    boxes: crop ? [{ ...crop, score }] : [],
    region: crop ? { kind: "crop", crop, keep: null } : { kind: "none", crop: null, keep: null },
    cells: null,
    pruned: null,
    likeliest: () => ({ region: peakOf(map, viewOfPicture(picture.layout, picture.source)).region, cells: null }),
    gate: null,
    timings,
    bytes: 0,
    reused: 0,
  };
}
