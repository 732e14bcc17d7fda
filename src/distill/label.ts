import { z } from "zod";
import { ahead } from "../data/read-ahead.js";
import type { Engine } from "../engine/engine.js";
import type { SdRpnError } from "../base/errors.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { signalSchema } from "../base/schemas.js";
import { parseOptions } from "../base/validate.js";
import { checkHeads, type HeadChoice, headChoiceSchema, type HeadPreset, headPreset } from "../engine/head-choice.js";
import { isItemError } from "../data/item-error.js";
import { modelIdentity } from "../engine/model-identity.js";
import { type CheckedPair, groupPairs, type Pairs, readPairs } from "./pairs.js";
import { type PseudoLabel, pseudoLabels } from "../roi/pseudo-labels.js";
import { asReference } from "../image/taken-picture.js";

/** Questions of one picture that are handed to the model together. */
const GROUP = 64;
/** Pictures that are decoded while others are asked about. */
const AHEAD = 3;

export const labelConstants = {
  sinkThreshold: z.number().default(1e-3),
  foregroundRatio: z.number().nonnegative().default(0.2),
  backgroundRatio: z.number().nonnegative().default(0.1),
  maxForegroundArea: z.number().nonnegative().default(0.5),
  minAttention: z.number().nonnegative().default(0),
};

export const labelSchema = z.strictObject({
  heads: z.union([z.string(), headChoiceSchema]).describe("name of a preset or { grounding: [[layer, head], ...], sink }"),
  images: z.string().min(1).optional(),
  ...labelConstants,
  maxTokens: z.int().min(1).max(4096).default(128),
  signal: signalSchema.shape.signal,
});

/** The rule's constants; by default those that the published LLaVA checkpoints were trained with. */
export interface LabelConstants {
  /** see `pseudoLabels`; default 0.001 */
  sinkThreshold?: number;
  /** default 0.2 */
  foregroundRatio?: number;
  /** default 0.1 */
  backgroundRatio?: number;
  /** default 0.5 */
  maxForegroundArea?: number;
  /** pairs whose greatest attention outside the sinks is below this are left out of training; default 0, for Qwen models 0.005 */
  minAttention?: number;
}

export interface LabelOptions extends LabelConstants {
  /** the choice made by {@link heads}, or a preset such as "llava-1.5-7b" */
  heads: HeadChoice | HeadPreset;
  /** folder of the pictures of a question file; by default the file's own */
  images?: string;
  /** of the answer; default 128 */
  maxTokens?: number;
  signal?: AbortSignal;
}

/** The result for one pair: its labels, or the error because of which it was skipped. */
export type LabelResult = Label | LabelFailure;

export interface Label {
  id: string;
  question: string;
  /** the model's greedy answer with one view */
  text: string;
  /** generated, the end token included */
  tokens: number;
  /** mean log-probability of those tokens */
  logLikelihood: number;
  /** the mean maps of the grounding heads and of the sink heads, one number a cell, row-major */
  grounding: Float32Array;
  sink: Float32Array;
  /** 1, 0 or -100 a cell, row-major */
  labels: PseudoLabel[];
  foregroundBox: [y0: number, x0: number, y1: number, x1: number];
  /** whether any cell is foreground or background */
  kept: boolean;
  error?: undefined;
}

export interface LabelFailure {
  id: string;
  question: string;
  error: SdRpnError;
}

export type CheckedLabelOptions = Omit<z.output<typeof labelSchema>, "heads"> & { heads: HeadChoice };

/** @throws {SdRpnError} INVALID_ARGUMENT, also for heads that the model does not have */
export function checkLabelOptions(engine: Engine, options: LabelOptions): CheckedLabelOptions {
  const checked = parseOptions(labelSchema, options);
  const model = modelIdentity(engine);
  const heads = typeof checked.heads === "string" ? headPreset(checked.heads, model) : checkHeads(checked.heads, model);
  return { ...checked, heads };
}

/**
 * Labels pairs from the model's own attention (SD-RPN, arXiv 2509.16944): the model answers each question greedily, the maps
 * of the chosen heads show where it looked, and `pseudoLabels` turns them into targets. Results come in the order of the pairs.
 * A pair that fails (a picture that cannot be read, a question that does not fit the context) gives a result with `error`.
 *
 * Pairs of one picture that follow each other share its decoding, its encoding and the prefix of the prompt.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT, DATA_INVALID and IO_ERROR of a question file, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function* label(model: Model, pairs: Pairs, options: LabelOptions): AsyncGenerator<LabelResult, void, undefined> {
  const engine = engineOf(model);
  const checked = checkLabelOptions(engine, options);
  yield* labelPairs(engine, readPairs(pairs, checked.images, checked.signal), checked);
}

/** As {@link label}, with checked options. */
export async function* labelPairs(engine: Engine, pairs: AsyncIterable<CheckedPair>, options: CheckedLabelOptions): AsyncGenerator<LabelResult, void, undefined> {
  const groups = groupPairs(pairs, GROUP);
  for await (const results of ahead(groups, AHEAD, (group, signal) => labelGroup(engine, group, options, signal), options.signal)) {
    yield* results;
  }
}

/** The pairs of one picture. */
async function labelGroup(engine: Engine, group: CheckedPair[], options: CheckedLabelOptions, signal: AbortSignal): Promise<LabelResult[]> {
  let session: number | undefined;
  try {
    const { view } = await engine.read(asReference(group[0].image), signal);
    const { id } = await engine.openSession(view, signal);
    session = id;
    return await Promise.all(group.map((pair) => labelOne(engine, id, pair, options, signal).catch((error: unknown) => failureOf(pair, error))));
  } catch (error) {
    return group.map((pair) => failureOf(pair, error));
  } finally {
    if (session !== undefined) {
      engine.dropSession(session);
    }
  }
}

function failureOf({ id, question }: CheckedPair, error: unknown): LabelFailure {
  if (isItemError(error)) {
    return { id, question, error };
  }
  throw error;
}

async function labelOne(engine: Engine, session: number, { id, question }: CheckedPair, options: CheckedLabelOptions, signal: AbortSignal): Promise<Label> {
  const asked = await engine.tokenize(question, 0, signal);
  const { heads, maxTokens } = options;
  const maps = await engine.labelMaps(session, asked, { grounding: heads.grounding.flat(), sink: heads.sink.flat(), maxTokens }, signal);
  const { grounding, sink, text, tokens, logLikelihood } = maps;
  return { id, question, text, tokens, logLikelihood, grounding, sink, ...labelsOf(engine, grounding, sink, options) };
}

/** The rule with a model's grid. */
export function labelsOf({ info }: Engine, grounding: Float32Array, sink: Float32Array, options: Required<LabelConstants>) {
  const { sinkThreshold, foregroundRatio, backgroundRatio, maxForegroundArea, minAttention } = options;
  const { labels, foregroundBox } = pseudoLabels(sink, grounding, {
    grid: info.vision.grid,
    sinkThreshold,
    foregroundRatio,
    backgroundRatio,
    maxForegroundArea,
  });
  const greatest = grounding.reduce((most, value, cell) => (sink[cell] < Math.fround(sinkThreshold) ? Math.max(most, value) : most), 0);
  const sure = greatest >= minAttention;
  return { labels: sure ? labels : labels.map((): PseudoLabel => -100), foregroundBox, kept: sure && labels.some((value) => value !== -100) };
}
