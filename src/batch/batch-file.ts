import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { checkForModel } from "../answer/check-for-model.js";
import { SdRpnError } from "../base/errors.js";
import { callback, pathSchema } from "../base/schemas.js";
import type { RegionMethod } from "../base/types.js";
import { invalidArgument, parseOptions } from "../base/validate.js";
import { AppendLog } from "../data/append-log.js";
import { continueLog } from "../data/continue-log.js";
import { readQuestions } from "../data/questions.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { batch } from "./batch.js";
import { picturesIn } from "./folder.js";
import { type BatchItem, type BatchLine, type BatchOptions, type CheckedBatchOptions, checkBatchOptions } from "./options.js";
import { writeOverlay } from "./overlay-file.js";
import { overlayNames } from "./overlay-names.js";
import { beginRun, formatOf, io, NAME, settingsOf } from "./run.js";

const fileSchema = z.strictObject({
  data: pathSchema,
  images: pathSchema.optional(),
  out: pathSchema,
  fileFormat: z.enum(["jsonl", "csv"]).optional(),
  overlay: pathSchema.optional(),
  onProgress: callback<(progress: BatchProgress) => void>(),
});

/** Options of `batchFile`. */
export interface BatchFileOptions extends BatchOptions {
  /** a folder of pictures, asked about with `question`; or a question file: JSON Lines with image, and question and id if they like */
  data: string;
  /** folder that the pictures of a question file are relative to; default: the file's own */
  images?: string;
  /** the file of answers to write, or to continue */
  out: string;
  /** default: by the ending of `out`, .jsonl or .csv */
  fileFormat?: "jsonl" | "csv";
  /** folder for a drawing of each answer's region, a PNG file named after the item's id */
  overlay?: string;
  onProgress?: (progress: BatchProgress) => void;
}

export interface BatchProgress {
  /** items in the file, those of earlier calls included, and their final number */
  done: number;
  total: number;
  /** of this call: items that an error left without an answer */
  failed: number;
}

/**
 * As `batch`, from a folder or question file into a file of answers, one line an item (docs/batch.md). If the process is killed at
 * any moment and the call repeated, it goes on behind the last whole line, each item once. What the answers depend on is kept beside the
 * file, in `OUT.run.json`: with other options, another model or another question the call is refused.
 *
 * @throws {SdRpnError} as `batch`; DATA_INVALID for a broken question file, no pictures, or an `out` that is another file; IO_ERROR (a full
 *   disk: what was written stays usable)
 */
export async function batchFile(model: Model, options: BatchFileOptions): Promise<BatchProgress> {
  const { data, images, out, fileFormat, overlay, onProgress, ...rest } = options;
  const run = parseOptions(fileSchema, { data, images, out, fileFormat, overlay, onProgress });
  const engine = engineOf(model);
  const asked = checkBatchOptions(rest);
  const { signal } = asked.checked;
  const method = await checkForModel(engine, asked.checked);
  checkOverlay(run.overlay, method, asked);
  const format = formatOf(run.out, run.fileFormat);
  const items = await readItems(run, asked.question, signal);
  const names = overlayNames(items.map(({ id }) => id));
  if (run.overlay !== undefined) {
    checkTargets(run.overlay, names, items);
  }
  await beginRun(run.out, settingsOf(model, asked));
  if (run.overlay !== undefined) {
    await io("make the folder of overlays", run.overlay, mkdir(run.overlay, { recursive: true }));
  }

  await using log = await AppendLog.open(run.out, { header: null, name: NAME, format, signal });
  const progress: BatchProgress = { done: 0, total: items.length, failed: 0 };
  const tell = (done: number): void => {
    progress.done = done;
    run.onProgress?.({ ...progress });
  };
  async function* linesOf(todo: readonly Item[]): AsyncGenerator<BatchLine, void, undefined> {
    const shown = new Map(todo.map(({ id, image }) => [id, image]));
    const paths = new Map(todo.map(({ id, path }) => [id, path]));
    const questions = todo.map(({ id, path, question }): BatchItem => ({ id, image: path, question }));
    for await (const result of batch(model, questions, rest)) {
      if (run.overlay !== undefined && result.answer?.roi) {
        await writeOverlay(model, paths.get(result.id)!, result.answer.roi, join(run.overlay, names.get(result.id)!), asked.checked);
      }
      yield { ...result.toJSON(), image: shown.get(result.id)! };
    }
  }
  const onEntry = ({ error }: BatchLine, done: number): void => {
    progress.failed += error ? 1 : 0;
    tell(done);
  };
  await continueLog({ log, items, idOf: ({ id }) => id, work: linesOf, onEntry }, tell);
  return progress;
}

interface Item {
  id: string;
  /** as written in the file of answers */
  image: string;
  path: string;
  question: string;
}

async function readItems({ data, images, overlay }: z.output<typeof fileSchema>, question: string | undefined, signal?: AbortSignal): Promise<Item[]> {
  const isFolder = await stat(data).then((stats) => stats.isDirectory(), () => false);
  if (!isFolder) {
    return readQuestions(data, { images, question, signal });
  }
  if (images !== undefined) {
    throw invalidArgument("no folder of pictures beside data, which is one,", "images", images);
  }
  if (overlay !== undefined && resolve(overlay) === resolve(data)) {
    throw invalidArgument("another folder than that of the pictures, which would be more of them the next time,", "overlay", overlay);
  }
  if (question === undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a question for the pictures in ${data}: give one (question, --question), or a question file as data`);
  }
  return (await picturesIn(data, overlay)).map(({ id, path }) => ({ id, image: id, path, question }));
}

/** Drawings must not take the place of a picture, nor become one that is asked about the next time. */
function checkTargets(overlay: string, names: ReadonlyMap<string, string>, items: readonly Item[]): void {
  const targets = new Set([...names.values()].map((name) => resolve(overlay, name).toLowerCase()));
  const hit = items.find(({ path }) => targets.has(path.toLowerCase()));
  if (hit) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a folder for overlays in which they are no picture that is asked about, but one would be written over ${hit.path}: give another folder`);
  }
}

function checkOverlay(overlay: string | undefined, method: RegionMethod | null, { checked: { roi } }: CheckedBatchOptions): void {
  if (overlay === undefined || method !== null) {
    return;
  }
  throw roi === "auto"
    ? new SdRpnError("RPN_NOT_LOADED", 'Expected something that finds regions for overlays: load a network (rpn, --rpn), or use method "vicrop", which needs none')
    : new SdRpnError("INVALID_ARGUMENT", 'Expected roi "auto" or "always" with overlays, which show where a region was found');
}
