import { z } from "zod";
import { abortSignal as signal, callback, imageTokensSchema, pathSchema } from "../base/schemas.js";
import type { PullProgress } from "../hub/pull.js";
import type { LogLevel } from "../native/binding.js";

export const loadSchema = z.strictObject({
  model: pathSchema.optional(),
  mmproj: pathSchema.optional(),
  rpn: pathSchema.nullable().optional(),
  heads: pathSchema.optional(),
  download: z.boolean().default(false),
  gpuLayers: z.union([z.int().min(0).max(1000), z.literal("auto")]).default("auto"),
  threads: z.int().min(1).max(512).optional(),
  contextSize: z.int().min(1).max(1 << 20).optional(),
  parallel: z.int().min(1).max(32).default(1),
  sessionCacheBytes: z.int().min(0).default(512 * 1024 * 1024),
  maxImagePixels: z.int().min(1).optional(),
  imageTokens: imageTokensSchema.optional(),
  maxQueue: z.int().min(0).max(1 << 20).default(1024),
  log: callback<(level: LogLevel, text: string) => void>(),
  onProgress: callback<(fraction: number) => void>(),
  onDownload: callback<(progress: PullProgress) => void>(),
  signal,
});

/** Options of {@link loadModel}. */
export interface LoadOptions {
  /**
   * path of the language model, a GGUF file, or of a folder that holds one; or the name of a model on a hub, "hf:owner/name" or
   * "hf:owner/name:file", that `pull` has fetched (docs/models.md). Default: the demo model
   */
  model?: string;
  /** path of the vision tower and projector that belong to it; default: the one beside the model */
  mmproj?: string;
  /**
   * path of its region proposal network; default: the one beside the model where mmproj was not named either or the model is a folder.
   * Without one, and with null, all answers are plain
   */
  rpn?: string | null;
  /**
   * the attention heads for method "attention": path of a file that `sd-rpn heads` has written for this model, or the name of a preset:
   * "llava-1.5-7b", "llava-1.5-13b", "demo"
   */
  heads?: string;
  /** whether a model that is named by a hub is fetched where it is not in the cache; default false: then it is MODEL_NOT_FOUND */
  download?: boolean;
  /** layers on the GPU; "auto" (default): all of them where there is a GPU */
  gpuLayers?: number | "auto";
  /** threads of the CPU backend; default: all cores but one (where there are more than two), one for models under 1,024 wide */
  threads?: number;
  /** tokens of one call, prompt and answer together; default min(4096, what the model was trained with) */
  contextSize?: number;
  /** answers that are decoded together, 1 to 32; default 1. The context's memory grows by this factor. */
  parallel?: number;
  /** memory for the state of earlier pictures, for further questions about them; default 512 MiB, 0 keeps none */
  sessionCacheBytes?: number;
  /** largest picture, width x height; default 100 million */
  maxImagePixels?: number;
  /** tokens of a picture's view; for models whose views differ in size (Qwen-VL), see the option of `answer` */
  imageTokens?: { min: number; max: number };
  /** calls that may wait while others run; more are refused with QUEUE_FULL. Default 1,024 */
  maxQueue?: number;
  /** receives the messages of ggml, llama.cpp and mtmd; without it they are dropped */
  log?: (level: LogLevel, text: string) => void;
  /** receives 0..1 while loading */
  onProgress?: (fraction: number) => void;
  /** receives the bytes that were fetched, with `download` */
  onDownload?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}
