import type { Engine } from "../../engine/engine.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { NativeTimings } from "../../native/binding.js";
import { viewOfPicture } from "../../roi/options.js";
import { type VicropWindow, vicropWindow } from "../../roi/vicrop-window.js";
import { type Asked, type Proposed, relativeToMaximum } from "./method.js";

export interface VicropOptions {
  /** the layer whose attention is read, from 0 */
  layer: number;
  /** side of the smallest window in source pixels */
  inputSize: number;
  /** ending of both prompts; not added where the question already ends with it */
  suffix: string;
}

/** What the attention of a question is compared with. */
const GENERIC = "Write a general description of the image.";

/** The smallest divisor, float32's smallest normal number: no quotient of attentions is infinite. */
const LEAST = 2 ** -126;

/** The authors' for LLaVA-1.5 7B: layer 14 of 32, the input size of 336 pixels, the wish for a single word or phrase. */
export function vicropOptions({ info }: Engine): VicropOptions {
  return {
    layer: Math.round((14 / 32) * info.layers),
    inputSize: Math.max(info.vision.view.width, info.vision.view.height),
    suffix: "\nAnswer the question using a single word or phrase.",
  };
}

interface RelativeAttention extends VicropWindow {
  map: Float32Array;
  /** of both prompts, those of the picture included */
  tokens: number;
  timings: NativeTimings;
}

/**
 * ViCrop's relative attention (arXiv 2502.17422): attention of the prompt's last token to the picture, mean over the heads
 * of one layer, divided cell by cell by the same for a generic question; the authors' window rule makes the crop. Two more
 * prompts, no decoding.
 */
export async function relativeAttention(
  engine: Engine,
  picture: OpenedPicture,
  question: string,
  { layer, inputSize, suffix }: VicropOptions,
  signal?: AbortSignal,
): Promise<RelativeAttention> {
  const setting = { views: picture.views, preamble: picture.session.preamble };
  const prompt = await engine.tokenize(question.endsWith(suffix) ? question : question + suffix, 0, signal, setting);
  const describe = await engine.tokenize(GENERIC + suffix, 0, signal, setting);
  const own = await lastTokenMap(engine, picture, prompt, layer, signal);
  const generic = await lastTokenMap(engine, picture, describe, layer, signal);
  const map = own.data.map((value, cell) => value / Math.max(generic.data[cell], LEAST));
  return {
    map,
    ...vicropWindow(map, viewOfPicture(picture.layout, picture.source), inputSize),
    tokens: 2 * picture.session.tokens + prompt.length + describe.length,
    timings: sum(own.timings, generic.timings),
  };
}

/** Attention of the prompt's last token to the picture, mean over the heads of the layer. */
async function lastTokenMap(
  engine: Engine,
  { session }: OpenedPicture,
  prompt: Int32Array,
  layer: number,
  signal?: AbortSignal,
): Promise<{ data: Float32Array; timings: NativeTimings }> {
  // with one generated token the only row is that of the prompt's last token
  const { output, heads, cells, timings } = await engine.attention(session.id, prompt, { layers: [layer], maxTokens: 1, question: false }, signal);
  const data = Float32Array.from({ length: cells }, (_, cell) => {
    let total = 0;
    for (let head = 0; head < heads; head++) {
      total += output[head * cells + cell];
    }
    return total / heads;
  });
  return { data, timings };
}

function sum(a: NativeTimings, b: NativeTimings): NativeTimings {
  return { vision: a.vision + b.vision, prefill: a.prefill + b.prefill, rpn: a.rpn + b.rpn, generate: a.generate + b.generate };
}

/** ViCrop with the authors' constants. It has a window for every question; the score is its share of the relative attention. */
export async function proposeByVicrop(engine: Engine, { picture, question, signal }: Asked): Promise<Proposed> {
  const { crop, share, map, timings } = await relativeAttention(engine, picture, question, vicropOptions(engine), signal);
  const region = { kind: "crop" as const, crop, keep: null };
  const boxes = [{ ...crop, score: share }];
  return { map: relativeToMaximum(map), boxes, region, cells: null, pruned: null, likeliest: () => ({ region, cells: null }), gate: null, timings, bytes: 0, reused: 0 };
}
