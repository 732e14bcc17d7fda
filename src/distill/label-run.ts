import { dirname, resolve } from "node:path";
import { z } from "zod";
import { AppendLog } from "../data/append-log.js";
import { continueLog } from "../data/continue-log.js";
import { mergeLogs } from "../data/merge.js";
import { groupByPicture, type QuestionItem, readQuestions } from "../data/questions.js";
import { type Shard, takeShard } from "../data/shard.js";
import type { Engine } from "../engine/engine.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { parseOptions } from "../base/validate.js";
import { type CheckedLabelOptions, checkLabelOptions, type LabelOptions, labelPairs, type LabelResult, labelSchema } from "./label.js";
import { encodeLabels, imagesFrom, LABEL_FORMAT, LABEL_VERSION, type LabelHeader, type LabelLine } from "./label-file.js";
import { modelIdentity } from "../engine/model-identity.js";

const text = z.string().min(1);
const runSchema = z.strictObject({
  data: text,
  out: text,
  shard: z.strictObject({ index: z.int().min(1), count: z.int().min(1) }).nullish(),
  onProgress: z.custom<(progress: LabelProgress) => void>((value) => typeof value === "function").describe("function").optional(),
});

export interface LabelFileOptions extends LabelOptions {
  /** the question file */
  data: string;
  /** the label file to write, or to continue */
  out: string;
  /** one of several parts of the data, by pictures; default: all of it */
  shard?: Shard | null;
  onProgress?: (progress: LabelProgress) => void;
}

export interface LabelProgress {
  /** pairs in the file, those of earlier calls included, and their final number */
  done: number;
  total: number;
  /** of this call: pairs with labelled cells, those without, and those that failed */
  kept: number;
  ignored: number;
  failed: number;
}

/**
 * Labels a question file into a label file (docs/distill.md), one line per pair. If the process is killed at any moment and the
 * call repeated, it continues after the last complete line, without loss or duplicates. A pair that fails is recorded with
 * its error's code and skipped.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT; DATA_INVALID for a broken line, no pictures at all, and a label file that was started with
 *   another model, heads or constants; IO_ERROR (a full disk: what was written stays usable); OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function labelFile(model: Model, options: LabelFileOptions): Promise<LabelProgress> {
  const { data, out, shard, onProgress, ...rest } = options;
  const run = parseOptions(runSchema, { data, out, shard, onProgress });
  const engine = engineOf(model);
  const checked = checkLabelOptions(engine, rest);
  const { signal } = checked;

  const items = takeShard(groupByPicture(await readQuestions(run.data, checked)), run.shard).flat();
  const header = headerOf(engine, run, checked);
  await using log = await AppendLog.open(run.out, { header: { ...header }, name: "label file", signal });
  const progress: LabelProgress = { done: 0, total: items.length, kept: 0, ignored: 0, failed: 0 };
  const tell = (done: number): void => {
    progress.done = done;
    run.onProgress?.({ ...progress });
  };
  const onEntry = ({ error, kept }: LabelLine, done: number): void => {
    progress[error ? "failed" : kept ? "kept" : "ignored"]++;
    tell(done);
  };
  await continueLog({ log, items, idOf: ({ id }) => id, work: (todo) => linesOf(engine, todo, checked), onEntry }, tell);
  return progress;
}

async function* linesOf(engine: Engine, items: readonly QuestionItem[], options: CheckedLabelOptions): AsyncGenerator<LabelLine, void, undefined> {
  const byId = new Map(items.map((item) => [item.id, item]));
  for await (const result of labelPairs(engine, pairsOf(items), options)) {
    yield lineOf(byId.get(result.id)!, result);
  }
}

async function* pairsOf(items: readonly QuestionItem[]) {
  for (const { id, path, question } of items) {
    yield { id, image: path, question };
  }
}

function headerOf(engine: Engine, { data, out, shard }: z.output<typeof runSchema>, options: CheckedLabelOptions): LabelHeader {
  const { heads, maxTokens, sinkThreshold, foregroundRatio, backgroundRatio, maxForegroundArea, minAttention } = options;
  return {
    format: LABEL_FORMAT,
    version: LABEL_VERSION,
    model: modelIdentity(engine),
    heads,
    constants: { sinkThreshold, foregroundRatio, backgroundRatio, maxForegroundArea, minAttention },
    maxTokens,
    images: imagesFrom(out, options.images ?? dirname(data)),
    shard: shard ?? null,
  };
}

function lineOf({ id, image, question }: QuestionItem, result: LabelResult): LabelLine {
  if (result.error) {
    const { code, message } = result.error;
    return { id, image, question, error: { code, message } };
  }
  const { text: answer, tokens, logLikelihood, labels, kept } = result;
  return { id, image, question, text: answer, tokens, logLikelihood: Number(logLikelihood.toFixed(4)), labels: kept ? encodeLabels(labels) : null, kept };
}

const mergeSchema = z.strictObject({ files: z.array(text).min(1), data: text, out: text, signal: labelSchema.shape.signal });

export interface MergeLabelOptions {
  /** the label files of all shards */
  files: string[];
  /** the question file that they were made from */
  data: string;
  out: string;
  signal?: AbortSignal;
}

/**
 * Joins the label files of several shards into the one that a single process would have written.
 *
 * @throws {SdRpnError} DATA_INVALID where a pair of the question file is missing or occurs twice, and where the files were started
 *   with different models, heads or constants; IO_ERROR; ABORTED
 */
export async function mergeLabels(options: MergeLabelOptions): Promise<{ pairs: number }> {
  const { files, data, out, signal } = parseOptions(mergeSchema, options);
  const items = groupByPicture(await readQuestions(data, { signal, withoutPictures: true })).flat();
  const { entries } = await mergeLogs({
    files,
    ids: items.map(({ id }) => id),
    out,
    name: "label file",
    header: (first, file) => ({ ...first, images: typeof first.images === "string" ? moveImages(file, first.images, out) : first.images }),
    signal,
  });
  return { pairs: entries };
}

function moveImages(from: string, images: string, to: string): string {
  return imagesFrom(to, resolve(dirname(from), images));
}
