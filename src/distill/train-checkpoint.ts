import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import type { Engine } from "../engine/engine.js";
import { runJob } from "../native/job.js";
import type { CheckedTrainOptions, TrainEvaluation, TrainStep } from "./train-options.js";

/** Everything that the weights depend on. A checkpoint is resumed only if all of it is the same. */
const basisSchema = z.strictObject({
  /** hash of the pairs and their labels, in order */
  labels: z.string(),
  model: z.string(),
  branchLayer: z.int(),
  blockCount: z.int(),
  epochs: z.int(),
  batchSize: z.int(),
  learningRate: z.number(),
  beta1: z.number(),
  beta2: z.number(),
  epsilon: z.number(),
  weightDecay: z.number(),
  warmup: z.number(),
  maxGradNorm: z.number(),
  seed: z.int(),
  heldOut: z.number(),
});

const noteSchema = z.strictObject({
  version: z.literal(1),
  basis: basisSchema,
  /** only the last bits of the sums of gradients depend on it */
  workers: z.int().min(1).max(64),
  steps: z.array(z.tuple([z.number(), z.number(), z.number()])),
  evaluations: z.array(z.strictObject({ step: z.int(), loss: z.number(), precision: z.number(), recall: z.number() })),
});

export type TrainBasis = z.output<typeof basisSchema>;

/** What a checkpoint contains besides weights, moments and step count. */
export interface TrainNote {
  basis: TrainBasis;
  workers: number;
  steps: TrainStep[];
  evaluations: TrainEvaluation[];
}

const WORDS: Partial<Record<keyof TrainBasis, string>> = { labels: "other labels", model: "another model" };

export function writeNote({ basis, workers, steps, evaluations }: TrainNote): string {
  const rows = steps.map(({ loss, gradNorm, learningRate }) => [loss, gradNorm, learningRate]);
  return JSON.stringify({ version: 1, basis, workers, steps: rows, evaluations });
}

/** @throws {SdRpnError} RPN_INVALID where the note is not from this version */
function readNote(text: string, path: string): TrainNote {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const { success, data } = noteSchema.safeParse(value);
  if (!success) {
    throw new SdRpnError("RPN_INVALID", `The training checkpoint ${path} was not written by this version's distill.train: pass resume: false to start anew`);
  }
  const steps = data.steps.map(([loss, gradNorm, learningRate], index) => ({ step: index + 1, loss, gradNorm, learningRate }));
  return { basis: data.basis, workers: data.workers, steps, evaluations: data.evaluations };
}

/**
 * Checks that a resumed training has the same settings.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT that names the first difference
 */
function checkBasis(asked: TrainBasis, note: TrainBasis, path: string): void {
  for (const key of Object.keys(asked) as (keyof TrainBasis)[]) {
    if (asked[key] !== note[key]) {
      const difference = WORDS[key] ?? `${key} ${note[key]}, not ${asked[key]}`;
      throw new SdRpnError(
        "INVALID_ARGUMENT",
        `The training checkpoint ${path} belongs to a training with ${difference}: use the same options, pass resume: false to start anew, or give another checkpoint`,
      );
    }
  }
}

/** The note of the checkpoint to resume from, or undefined for a new training. */
export async function findCheckpoint({ native }: Engine, path: string, basis: TrainBasis, { resume, signal }: CheckedTrainOptions): Promise<TrainNote | undefined> {
  if (resume === false) {
    return undefined;
  }
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (!exists) {
    if (resume) {
      throw new SdRpnError("IO_ERROR", `There is no training checkpoint ${path} to resume from: leave out resume to start anew`);
    }
    return undefined;
  }
  const note = readNote(await runJob(native, () => native.trainNote(path), signal), path);
  checkBasis(basis, note.basis, path);
  return note;
}

/** The temporary files of a process that was killed while it wrote a checkpoint. */
export async function removeParts(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  const name = basename(path);
  const parts = (await readdir(folder)).filter((file) => file.startsWith(`${name}.`) && /\.[0-9a-f]{8}\.part$/.test(file));
  await Promise.all(parts.map((file) => rm(join(folder, file), { force: true })));
}
