import { z } from "zod";
import { RPN_TYPES } from "../rpn/convert-checkpoint.js";

const callback = <T>() => z.custom<T>((value) => typeof value === "function").describe("function").optional();

export const trainSchema = z.strictObject({
  labels: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).describe("path of a label file or array of paths"),
  images: z.string().min(1).optional(),
  out: z.string().min(1),
  type: z.enum(RPN_TYPES).default("f16"),
  threshold: z.number().min(-1).max(1).default(0.15),
  branchLayer: z.int().min(1).max(4096).optional(),
  blockCount: z.int().min(1).max(64).default(3),
  epochs: z.int().min(1).max(100_000).default(1),
  batchSize: z.int().min(1).max(1 << 20).optional(),
  learningRate: z.number().positive().default(5e-5),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.98),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0),
  warmup: z.number().min(0).max(1).default(0.03),
  maxGradNorm: z.number().min(0).default(1),
  seed: z.int().min(0).max(0xffffffff).default(0),
  heldOut: z.number().min(0).lt(1).default(0.02),
  evaluateEvery: z.int().min(1).optional(),
  checkpoint: z.string().min(1).optional(),
  checkpointEvery: z.int().min(1).default(100),
  resume: z.boolean().optional(),
  workers: z.int().min(1).max(64).optional(),
  cacheBytes: z.int().min(0).default(1024 ** 3),
  onProgress: callback<(progress: TrainProgress) => void>(),
  signal: z.instanceof(AbortSignal).describe("AbortSignal").optional(),
});

/** {@link TrainOptions} with the defaults filled in that do not depend on model or data. */
export type CheckedTrainOptions = z.output<typeof trainSchema>;

/** Options of `distill.train`; the defaults are those the published LLaVA checkpoints were trained with. */
export interface TrainOptions {
  /** the label file, or several that are trained on together, as `distill.label` writes them */
  labels: string | string[];
  /** folder that pictures are relative to; default: that of the label file which names them */
  images?: string;
  /** the RPN file to write */
  out: string;
  /** type of the weights in it; norms stay f32; default f16 */
  type?: "f32" | "f16" | "q8_0" | "q4_k";
  /** default threshold to write into it; default 0.15 */
  threshold?: number;
  /**
   * K: the network takes the hidden states after this number of layers of the model. Default: 15 for models of 32 and 40 layers,
   * as published; otherwise 15/32 of the layers, limited so that the blocks fit
   */
  branchLayer?: number;
  /** T: blocks of the network, which start as the model's layers K to K+T-1; default 3 */
  blockCount?: number;
  /** passes over the pairs; default 1 */
  epochs?: number;
  /**
   * pairs per step, whose gradients are accumulated one by one. Default: as many as give 297 steps, the number of the
   * published training, but at least 8 and at most 512
   */
  batchSize?: number;
  /** peak of the learning rate; default 5e-5 */
  learningRate?: number;
  /** AdamW's; defaults 0.9, 0.98, 1e-8 and 0 */
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  /** share of the steps in which the rate rises from 0, before it falls along half a cosine; default 0.03 */
  warmup?: number;
  /** gradients are scaled down to this norm; 0: never; default 1 */
  maxGradNorm?: number;
  /** of the order of the pairs and of the choice of held-out pictures; default 0 */
  seed?: number;
  /** share of the pictures used for measuring the network instead of training it; default 0.02 */
  heldOut?: number;
  /** steps between two measurements on the held-out pairs; default: a tenth of all */
  evaluateEvery?: number;
  /** file of the checkpoint; default: `out` with ".checkpoint" appended */
  checkpoint?: string;
  /** steps between two checkpoints; default 100 */
  checkpointEvery?: number;
  /** true: resume from the checkpoint, which must exist; false: start anew; default: resume if there is one */
  resume?: boolean;
  /** pairs computed at the same time; default: the processor's cores where the model is under 1,024 wide, else 1 with all cores */
  workers?: number;
  /** memory for hidden states that later epochs would otherwise compute again; default 1 GiB */
  cacheBytes?: number;
  /** receives each step */
  onProgress?: (progress: TrainProgress) => void;
  /** aborts the training; a checkpoint of the last step is written */
  signal?: AbortSignal;
}

/** A finished step. */
export interface TrainStep {
  /** from 1 */
  step: number;
  /** mean over the labelled cells of the step's pairs, before the step */
  loss: number;
  /** norm of the gradients before clipping */
  gradNorm: number;
  learningRate: number;
}

/** The network on the held-out pairs after `step` steps; a cell counts as found if its probability is above 0.5. */
export interface TrainEvaluation {
  step: number;
  /** mean over the labelled cells */
  loss: number;
  /** share of the found cells that are labelled as foreground */
  precision: number;
  /** share of the foreground cells that are found */
  recall: number;
}

export interface TrainProgress extends TrainStep {
  steps: number;
  /** from 1 */
  epoch: number;
  epochs: number;
  /** pairs trained on since the start or the last resume, per second */
  pairsPerSecond: number;
  secondsLeft: number;
  /** set if the held-out pairs were measured after this step */
  evaluation: TrainEvaluation | null;
}

export interface TrainResult {
  out: string;
  branchLayer: number;
  blockCount: number;
  batchSize: number;
  pairs: {
    train: number;
    heldOut: number;
    /** skipped: without a labelled cell, or failed during labelling */
    unusable: number;
  };
  /** all steps, those before a resume included */
  steps: TrainStep[];
  /** the held-out pairs before the first step, in between, and after the last; empty without held-out pairs */
  evaluations: TrainEvaluation[];
  /** the step from which this call resumed; 0: it started anew */
  resumedFrom: number;
  /** of this call */
  seconds: number;
}
