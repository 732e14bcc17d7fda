import { z } from "zod";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture } from "../engine/opened-picture.js";
import { engineOf, pictureOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import type { NativeTimings } from "../native/binding.js";
import { askedSchema, signalSchema } from "../base/schemas.js";
import type { Session } from "../model/session.js";
import { type Json, withJson } from "../base/json.js";
import type { ImageInput, ImageOptions, Size } from "../base/types.js";
import { imageOptionsShape, takePicture } from "../image/taken-picture.js";
import { invalidArgument, parseOptions } from "../base/validate.js";

const schema = z.strictObject({
  layers: z.array(z.int().min(0)).min(1).optional(),
  maxTokens: z.int().min(1).max(1 << 20).default(128),
  question: z.boolean().default(false),
  exact: z.boolean().default(false),
  background: imageOptionsShape.background,
  signal: signalSchema.shape.signal,
});

export interface AttentionOptions extends Pick<ImageOptions, "background"> {
  /** layers to read, from 0, without duplicates; by default all. Data of other layers is not copied. */
  layers?: number[];
  /** of the greedy answer; default 128. With 1 the maps are those of the prompt's last token. */
  maxTokens?: number;
  /** the question-to-image maps too; default false */
  question?: boolean;
  /** keeps white space at the ends of the question, which is taken off otherwise; default false */
  exact?: boolean;
  signal?: AbortSignal;
}

/**
 * The attention from the model's answer to the tokens of the picture, per layer and head. Attention is a distribution over
 * the whole prompt, so a map sums to at most 1.
 */
export interface Attention extends AttentionFields {
  /** for JSON.stringify: the maps as arrays of numbers */
  toJSON(): Json<AttentionFields>;
}

interface AttentionFields {
  layers: number[];
  /** per layer */
  heads: number;
  grid: Size;
  /**
   * [layers][heads][grid.height * grid.width]: mean over the decode steps, that is the inputs g1 .. g(N-1) of N generated
   * tokens, without the prompt's last token and the last generated one; with N = 1 the row of the prompt's last token,
   * where the reference has the mean of an empty set (SD-RPN, arXiv 2509.16944, section 3).
   */
  output: Float32Array;
  /** mean over the tokens of the question, same shape; null unless asked for */
  question: Float32Array | null;
  /** the greedy answer */
  text: string;
  /** its tokens, including the end token if it ended with one */
  tokens: number[];
  /** mean log-probability of those tokens, each given all before it */
  logLikelihood: number;
  /** ms: decoding and scaling the picture, the vision tower, [system][image] without flash attention, question and answer */
  timings: { decode: number; vision: number; prefill: number; generate: number; total: number };
}

/**
 * Attention maps of a picture and a question; see {@link Attention}.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT (a layer that the model does not have), CONTEXT_OVERFLOW, OUT_OF_MEMORY (the second context does
 *   not fit), IMAGE_INVALID, IMAGE_TOO_LARGE, ABORTED, DISPOSED
 */
export function attention(model: Model, image: ImageInput, question: string, options?: AttentionOptions): Promise<Attention>;
export function attention(session: Session, question: string, options?: AttentionOptions): Promise<Attention>;
export async function attention(owner: Model | Session, ...rest: unknown[]): Promise<Attention> {
  const engine = engineOf(owner);
  const opened = pictureOf(owner);
  const [picture, question, options] = opened ? [opened, ...rest] : rest;
  return captureAttention(engine, picture as ImageInput | OpenedPicture, question, options as AttentionOptions | undefined);
}

async function captureAttention(engine: Engine, picture: ImageInput | OpenedPicture, question: unknown, options: AttentionOptions = {}): Promise<Attention> {
  const { layers: asked, maxTokens, question: withQuestion, exact, background, signal } = parseOptions(schema, options);
  const text = parseOptions(askedSchema, { question, exact });
  const layers = checkLayers(asked, engine.info.layers);
  if (picture instanceof OpenedPicture && background !== undefined) {
    throw invalidArgument("no background for a session, whose picture was read when it was opened,", "background", background);
  }
  const taken = picture instanceof OpenedPicture ? picture : takePicture(picture, { background });
  const start = performance.now();
  const preamble = await engine.preambleOf(taken, undefined, signal);
  const prompt = await engine.tokenize(text, 0, signal, { preamble });
  const used = await engine.usePicture(taken, signal);
  try {
    const { grid } = used.picture.layout;
    const result = await engine.attention(used.picture.session.id, prompt, { layers, maxTokens, question: withQuestion }, signal);
    const { heads, output, question: asking, text: answer, tokens, logLikelihood } = result;
    const timings = { decode: used.decodeMs, ...phases(result.timings, used.visionMs), total: performance.now() - start };
    return withJson({ layers, heads, grid: { ...grid }, output, question: asking, text: answer, tokens, logLikelihood, timings });
  } finally {
    used.release(0);
  }
}

function phases({ vision, prefill, generate }: NativeTimings, visionMs: number) {
  return { vision: vision + visionMs, prefill, generate };
}

function checkLayers(asked: number[] | undefined, count: number): number[] {
  const layers = asked ?? Array.from({ length: count }, (_, layer) => layer);
  const wrong = layers.find((layer, index) => layer >= count || layers.indexOf(layer) !== index);
  if (wrong !== undefined) {
    throw invalidArgument(`layers between 0 and ${count - 1}, each once,`, "layers", wrong);
  }
  return layers;
}
