import { z } from "zod";
import type { LogLevel } from "./native/binding.js";
import type { Box } from "./types.js";

const signal = z.instanceof(AbortSignal).describe("AbortSignal").optional();
const callback = <T>() => z.custom<T>((value) => typeof value === "function").describe("function").optional();

const box = z.strictObject({ x: z.number(), y: z.number(), width: z.number().positive(), height: z.number().positive() });

/** A path; the system would take one with a NUL for its beginning, which is another file. */
export const pathSchema = z
  .string()
  .min(1)
  .refine((path) => !path.includes("\0"))
  .describe("path without NUL characters");

export const loadSchema = z.strictObject({
  model: pathSchema.optional(),
  mmproj: pathSchema.optional(),
  rpn: pathSchema.optional(),
  gpuLayers: z.union([z.int().min(0).max(1000), z.literal("auto")]).default("auto"),
  threads: z.int().min(1).max(512).optional(),
  contextSize: z.int().min(1).max(1 << 20).optional(),
  parallel: z.int().min(1).max(32).default(1),
  sessionCacheBytes: z.int().min(0).default(512 * 1024 * 1024),
  maxImagePixels: z.int().min(1).optional(),
  maxQueue: z.int().min(0).max(1 << 20).default(1024),
  log: callback<(level: LogLevel, text: string) => void>(),
  onProgress: callback<(fraction: number) => void>(),
  signal,
});

export const predictSchema = z.strictObject({ threshold: z.number().min(-1).max(1).optional(), signal });

export const answerSchema = z.strictObject({
  roi: z
    .union([z.enum(["auto", "always", "never"]), z.array(box)])
    .describe('"auto", "always", "never" or array of boxes { x, y, width, height }')
    .default("auto"),
  threshold: z.number().min(-1).max(1).optional(),
  maxTokens: z.int().min(1).max(1 << 20).default(128),
  temperature: z.number().min(0).max(100).default(0),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.int().min(0).default(0),
  seed: z.int().min(0).max(0xffffffff).optional(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1))]).default([]),
  onToken: callback<(text: string) => void>(),
  signal,
});

export const signalSchema = z.strictObject({ signal });

/** The question as the user wrote it; white space alone is none. */
export const questionSchema = z
  .string()
  .refine((text) => text.trim() !== "")
  .describe("non-empty string");

/** Options of {@link loadModel}. */
export interface LoadOptions {
  /** path of the language model, a GGUF file; default: the demo model */
  model?: string;
  /** path of the vision tower and projector that belong to it */
  mmproj?: string;
  /** path of its region proposal network; without one there are plain answers only */
  rpn?: string;
  /** layers on the GPU; "auto" (default): all of them where there is a GPU */
  gpuLayers?: number | "auto";
  /** threads of the CPU backend; default: all cores but one (where there are more than two), one for models under 1,024 wide */
  threads?: number;
  /** tokens of one call, prompt and answer together; default min(4096, what the model was trained with) */
  contextSize?: number;
  /** answers that are decoded together, 1 to 32; default 1. The context's memory grows by this factor. */
  parallel?: number;
  /** memory for the state of pictures asked about before; default 512 MiB, 0 keeps none */
  sessionCacheBytes?: number;
  /** largest picture, width x height; default 100 million */
  maxImagePixels?: number;
  /** calls that may wait while others run; more are refused with QUEUE_FULL. Default 1,024 */
  maxQueue?: number;
  /** receives the messages of ggml, llama.cpp and mtmd; without it they are dropped */
  log?: (level: LogLevel, text: string) => void;
  /** receives 0..1 while loading */
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
}

/** Options of `predictRoI`. */
export interface PredictOptions {
  /** see `boxesFromMap`; default: the RPN file's, else 0.15 */
  threshold?: number;
  signal?: AbortSignal;
}

/** Options of `answer` and `answerStream`. */
export interface AnswerOptions {
  /**
   * "auto" (default): a second look if a region is found, the plain answer without an RPN. "always": the 3x3 cells around
   * the map's maximum where nothing passes the threshold. "never": one view. Boxes in source pixels: each is cut out and
   * looked at, in order.
   */
  roi?: "auto" | "always" | "never" | Box[];
  threshold?: number;
  /** default 128 */
  maxTokens?: number;
  /** 0 (default): greedy */
  temperature?: number;
  /** default 1: off */
  topP?: number;
  /** default 0: off */
  topK?: number;
  /** of sampling; default: a random one */
  seed?: number;
  /** the answer ends before any of these */
  stop?: string | string[];
  /** receives the text as it comes; its pieces joined are the answer's text */
  onToken?: (text: string) => void;
  signal?: AbortSignal;
}
