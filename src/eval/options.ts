import { z } from "zod";
import { type HeadPair, headPairSchema } from "../engine/head-choice.js";
import { predictSchema } from "../answer/options.js";
import { imageTokensSchema, signalSchema } from "../base/schemas.js";
import { PRESET_NAMES, type PresetName } from "./presets.js";
import { TASK_NAMES, type TaskName } from "./task.js";

/** The ways to answer that can be compared; `boxes` are files of regions, named in `boxes`. */
export const METHOD_NAMES = ["none", "rpn", "attention", "vicrop", "oracle"] as const;

export type MethodName = (typeof METHOD_NAMES)[number];

/** The thresholds of a sweep by default: from one that nearly every cell passes to one that few pass. */
export const SWEEP_THRESHOLDS = [0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.4, 0.5] as const;

const path = z.string().min(1);
const threshold = z.number().min(-1).max(1);
const callback = <T>() => z.custom<T>((value) => typeof value === "function").describe("function").optional();
const heads = z.array(headPairSchema);

export const evaluateSchema = z.strictObject({
  task: z.enum(TASK_NAMES),
  data: path,
  out: path,
  images: path.optional(),
  split: z.string().min(1).optional(),
  skipMissing: z.boolean().default(false),
  strict: z.boolean().default(false),
  limit: z.int().min(1).optional(),
  methods: z.array(z.enum(METHOD_NAMES)).optional(),
  boxes: z.array(z.strictObject({ name: z.string().regex(/^[\w.-]+$/).describe("name of letters, digits, dots and dashes"), file: path })).default([]),
  preset: z.enum(PRESET_NAMES).optional(),
  threshold: z.union([threshold, z.literal("best")]).optional(),
  gate: predictSchema.shape.gate.unwrap().optional(),
  imageTokens: imageTokensSchema.optional(),
  sweep: z.union([z.boolean(), z.array(predictSchema.shape.threshold.unwrap()).min(1)]).default(false),
  development: z.union([z.strictObject({ share: z.number().gt(0).lt(1) }), z.strictObject({ data: path, images: path.optional() })]).optional(),
  heads: z.union([path, z.strictObject({ grounding: heads.min(1), sink: heads.default([]) })]).optional(),
  vicrop: z.strictObject({ layer: z.int().min(0).optional(), inputSize: z.int().min(1).optional(), suffix: z.string().optional() }).default({}),
  maxTokens: z.int().min(1).max(1 << 20).optional(),
  shard: z.string().optional(),
  seed: z.int().min(0).max(0xffffffff).default(0),
  examples: z.int().min(0).default(40),
  onProgress: callback<(progress: EvalProgress) => void>(),
  signal: signalSchema.shape.signal,
});

export type CheckedEvaluateOptions = z.output<typeof evaluateSchema>;

/** Progress of a run. */
export interface EvalProgress {
  /** "sweep": thresholds on the development part; "run": the part that is reported; "report": the files made from it */
  phase: "sweep" | "run" | "report";
  /** answers so far, those of earlier processes included, and in total */
  done: number;
  total: number;
  /** mean score so far of every method, 0..1; those that have not been scored yet are left out */
  accuracy: Record<string, number>;
}

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  task: TaskName;
  /** the release file, or folder, as its publishers give it */
  data: string;
  /** the folder of the run, created if missing; an interrupted run is resumed in it */
  out: string;
  /** folder of the pictures; by default the data file's own */
  images?: string;
  /** which part, where the data has several; by default the one that the papers report */
  split?: string;
  /** count items whose picture is missing or broken instead of failing at the first; default false */
  skipMissing?: boolean;
  /** correct the known flaws of the published scoring; default false */
  strict?: boolean;
  /** the first items only */
  limit?: number;
  /**
   * "none": one view. "rpn": the region proposal network. "attention": the same maps without training. "vicrop": relative
   * attention (arXiv 2502.17422). "oracle": the boxes of the data. By default none and, with an RPN, rpn; each of `boxes`
   * follows them.
   */
  methods?: MethodName[];
  /**
   * Regions of other systems, each file as a method of its own: JSONL with the item's `id` and `boxes`, an array of
   * [x0, y0, x1, y1] in pixels; an item without boxes is answered with one view.
   */
  boxes?: { name: string; file: string }[];
  /** threshold, gate and token budget of a published evaluation of Qwen-VL models, for this task; the options below win over it */
  preset?: PresetName;
  /** of the network; "best": the best of `sweep`. By default the preset's, or the published one of the task, or else the RPN file's. */
  threshold?: number | "best";
  /** least score of the network's gate with which the network is asked; false: not asked; "auto": the RPN file's. By default the preset's, or "auto" */
  gate?: "auto" | number | false;
  /** tokens of a view, for models whose views differ in size; by default the load's, the preset's, or else the RPN file's */
  imageTokens?: { min: number; max: number };
  /** accuracy at these thresholds, on the development part; true: at {@link SWEEP_THRESHOLDS} */
  sweep?: boolean | number[];
  /**
   * The data for choosing a threshold, which is never reported: a share of the pictures (0..1, the same ones in every
   * run), or another file of the same task.
   */
  development?: { share: number } | { data: string; images?: string };
  /** of the attention method: pairs of layer and head from 0, a preset's name, or a file of `sd-rpn heads`; by default those that the model was loaded with, or the preset of the model's shape */
  heads?: { grounding: HeadPair[]; sink?: HeadPair[] } | string;
  /**
   * Layer (from 0) whose attention is read, by default at 14/32 of the depth; pixels of the smallest window, by default the
   * model's input size; the ending of both prompts that look for the region, by default the authors' request for a single word or phrase
   */
  vicrop?: { layer?: number; inputSize?: number; suffix?: string };
  /** longest answer; by default the task's */
  maxTokens?: number;
  /** "2/8": the second of eight parts, to be joined by {@link mergeEvaluations} */
  shard?: string;
  /** of the bootstrap; default 0 */
  seed?: number;
  /** how many items the page shows, alternating won and lost ones; default 40 */
  examples?: number;
  onProgress?: (progress: EvalProgress) => void;
  signal?: AbortSignal;
}
