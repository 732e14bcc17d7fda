import { createHash } from "node:crypto";
import { z } from "zod";
import { ahead } from "../data/read-ahead.js";
import type { Engine } from "../engine/engine.js";
import type { SdRpnError } from "../base/errors.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { runJob } from "../native/job.js";
import { signalSchema } from "../base/schemas.js";
import { parseOptions } from "../base/validate.js";
import { chooseHeads } from "./grounding-and-sink-heads.js";
import { type HeadChoice, HEADS_FORMAT } from "../engine/head-choice.js";
import { isItemError } from "../data/item-error.js";
import { type ModelIdentity, modelIdentity } from "../engine/model-identity.js";
import { type CheckedPair, type Pairs, readPairs } from "./pairs.js";
import { asReference } from "../image/taken-picture.js";

export const headsSchema = z.strictObject({
  images: z.string().min(1).optional(),
  pairs: z.int().min(1).default(24),
  count: z.int().min(1).default(3),
  lattice: z.int().min(1).max(256).optional(),
  window: z.number().gt(0).max(1).default(0.25),
  uncertainty: z.number().gt(0).default(0.1),
  maxTokens: z.int().min(1).max(4096).default(32),
  onProgress: z.custom<(progress: HeadsProgress) => void>((value) => typeof value === "function").describe("function").optional(),
  signal: signalSchema.shape.signal,
});

export interface HeadsOptions {
  /** folder of the pictures of a question file; by default the file's own */
  images?: string;
  /** how many useful pairs to gather; default 24. Pairs of whose answer the model is sure anyway are not useful. */
  pairs?: number;
  /** grounding heads to choose, at most; default 3 */
  count?: number;
  /** probes per side of the view; default half the grid's side */
  lattice?: number;
  /** side of a probe's crop, as a share of the view's side; default 0.25 */
  window?: number;
  /** pairs whose plain answer has a mean log-likelihood above minus this are skipped; default 0.1 */
  uncertainty?: number;
  /** of every answer; default 32 */
  maxTokens?: number;
  onProgress?: (progress: HeadsProgress) => void;
  signal?: AbortSignal;
}

export interface HeadsProgress {
  /** useful pairs so far, and the number wanted */
  used: number;
  wanted: number;
  /** pairs that are not useful */
  passed: number;
  failed: number;
}

export interface RankedHead {
  layer: number;
  head: number;
  /** 0..1: how much more certain of its answer the model is after a second look where the head looks */
  grounding: number;
  /** 0..1: share of all its attention on the few tokens that get it whatever the question (sinks) */
  sink: number;
}

export interface HeadRanking {
  model: ModelIdentity;
  /** of all layers, best grounding first */
  heads: RankedHead[];
  /** the choice that {@link label} takes */
  chosen: HeadChoice;
  used: number;
  passed: number;
  /** pairs that could not be read, with their codes */
  failed: { id: string; code: string; message: string }[];
}

/**
 * Ranks the model's attention heads by how well they point at what is asked for, without answers or boxes: the picture is
 * probed with crops on a lattice, and a head is good if it looks at places whose crops make the model certain of
 * its answer (docs/decisions/008-label-free-heads.md). Takes about lattice squared answers per pair.
 *
 * The pairs of a question file are taken in a pseudo-random order that is always the same.
 *
 * @throws {SdRpnError} DATA_INVALID where no pair is useful, INVALID_ARGUMENT, IO_ERROR, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function heads(model: Model, pairs: Pairs, options: HeadsOptions = {}): Promise<HeadRanking> {
  const engine = engineOf(model);
  const checked = parseOptions(headsSchema, options);
  const { signal, pairs: wanted } = checked;
  const all: CheckedPair[] = [];
  for await (const pair of readPairs(pairs, checked.images, signal)) {
    all.push(pair);
  }
  const ordered = typeof pairs === "string" ? scatter(all) : all;

  const { native } = engine;
  const { window, uncertainty, maxTokens } = checked;
  const ranking = await runJob(native, () => native.headsStart({ lattice: checked.lattice ?? 0, window, uncertainty, maxTokens }), signal);
  try {
    const failed: HeadRanking["failed"] = [];
    let used = 0;
    let passed = 0;
    for await (const { pair, pixels, question, other, error } of ahead(withOthers(ordered), 2, (each, until) => readPixels(engine, each, until), signal)) {
      if (error) {
        failed.push({ id: pair.id, code: error.code, message: error.message });
      } else {
        const { data, width, height } = pixels!;
        const useful = await runJob(native, () => native.headsAdd(ranking, data, width, height, engine.prefix, question!, other!), signal);
        used += useful ? 1 : 0;
        passed += useful ? 0 : 1;
      }
      checked.onProgress?.({ used, wanted, passed, failed: failed.length });
      if (used >= wanted) {
        break;
      }
    }
    const result = await runJob(native, () => native.headsRank(ranking), signal);
    return { model: modelIdentity(engine), heads: result.heads, chosen: chooseHeads(result.heads, checked.count), used, passed, failed };
  } finally {
    native.headsDrop(ranking).promise.catch(() => {}); // a model disposed meanwhile has dropped it
  }
}

/** The choice as `sd-rpn heads --out` writes it: what `loadModel` and labelling read. */
export function choiceDocument({ model, chosen, used, passed }: HeadRanking): object {
  return { format: HEADS_FORMAT, version: 1, model, chosen, used, passed };
}

/** The same with every head's figures, as `sd-rpn distill heads --out` writes it. */
export function headsDocument(ranking: HeadRanking): object {
  return { ...choiceDocument(ranking), heads: ranking.heads };
}

/** A pseudo-random order that does not depend on the number of lines. */
function scatter(pairs: readonly CheckedPair[]): CheckedPair[] {
  const key = ({ id }: CheckedPair): string => createHash("sha256").update(id).digest("hex");
  return pairs.map((pair) => ({ pair, key: key(pair) })).sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ pair }) => pair);
}

/** Each pair with the next different question: attention that is the same for both does not depend on the question. */
function* withOthers(pairs: readonly CheckedPair[]): Generator<{ pair: CheckedPair; other?: string }> {
  for (const [index, pair] of pairs.entries()) {
    const others = [...pairs.slice(index + 1, index + 50), ...pairs.slice(0, index)];
    yield { pair, other: others.find(({ question }) => question !== pair.question)?.question };
  }
}

async function readPixels(engine: Engine, { pair, other }: { pair: CheckedPair; other?: string }, signal?: AbortSignal) {
  try {
    const question = await engine.tokenize(pair.question, 1, signal);
    const second = other === undefined ? new Int32Array() : await engine.tokenize(other, 0, signal);
    const { picture } = await engine.read(asReference(pair.image), signal);
    return { pair, question, other: second, pixels: picture.pixels() };
  } catch (error) {
    if (isItemError(error)) {
      return { pair, error: error as SdRpnError };
    }
    throw error;
  }
}
