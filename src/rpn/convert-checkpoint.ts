import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { binding } from "../native/binding.js";
import { runJobWithCallback } from "../native/job.js";
import { parseOptions } from "../base/validate.js";

/** types of an RPN file that training writes */
export const RPN_TYPES = ["f32", "f16", "q8_0", "q4_k"] as const;

/** q4_k and q4_k_m are the same: the type of most of llama.cpp's q4_k_m files, and their name. */
export const CONVERT_TYPES = ["f32", "f16", "q8_0", "q4_k", "q4_k_m", "bf16"] as const;

const schema = z.strictObject({
  checkpoint: z.string().min(1),
  base: z.union([z.string().min(1), z.array(z.string().min(1))]).default([]),
  out: z.string().min(1),
  only: z.literal("rpn").optional(),
  type: z.enum(CONVERT_TYPES).default("f16"),
  name: z.string().default(""),
  threshold: z.number().min(-1).max(1).optional(),
  onProgress: z.custom<(fraction: number) => void>((value) => typeof value === "function").describe("function").optional(),
  signal: z.instanceof(AbortSignal).describe("AbortSignal").optional(),
});

export interface ConvertOptions {
  /** folder of a published checkpoint (config.json and safetensors, whole or in shards with an index), or one safetensors file of it */
  checkpoint: string;
  /** folders of the models that have what a pruned checkpoint lacks */
  base?: string | string[];
  /**
   * Where to write: a folder gets model.gguf, mmproj.gguf and rpn.gguf. A path that ends with .gguf, or of a file that is there, is the
   * RPN file, which alone is written then.
   */
  out: string;
  /** the RPN file alone, `out` being its path or a folder for rpn.gguf */
  only?: "rpn";
  /** type of the weights; default f16. Norms stay f32, the vision tower is f32 or f16 */
  type?: (typeof CONVERT_TYPES)[number];
  /** name of the model, for information */
  name?: string;
  /** default threshold to write into the RPN file; default: the checkpoint's, else 0.15 for LLaVA-1.5 and 0.1 for Qwen-VL */
  threshold?: number;
  /** receives 0..1 */
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
}

export interface ConvertResult {
  /** paths of the files that were written: model, mmproj, RPN */
  files: string[];
  tensors: number;
  bytesRead: number;
  bytesWritten: number;
  /** tensors whose rows the type cannot divide, with the type they got instead */
  fallbacks: string[];
}

/**
 * Makes GGUF files out of a published checkpoint, holding a few million of its values at a time in memory: all that loadModel takes, or
 * the RPN file alone. They appear under their names once all of them are complete and could be opened.
 *
 * @throws {SdRpnError} CHECKPOINT_INVALID, IO_ERROR (also where the disk has no room), INVALID_ARGUMENT, ABORTED
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<ConvertResult> {
  const { onProgress, signal, only, base, threshold, ...rest } = parseOptions(schema, options);
  const there = await kindOf(rest.out);
  const whole = only === undefined && !rest.out.endsWith(".gguf") && there !== "file";
  const out = only === "rpn" && there === "folder" ? join(rest.out, "rpn.gguf") : rest.out;
  const params = { ...rest, out, whole, base: typeof base === "string" ? [base] : base, threshold: threshold ?? null };
  const native = new (binding().Converter)();
  try {
    return await runJobWithCallback(native, (report) => native.run(params, report), onProgress, signal);
  } finally {
    await native.close();
  }
}

async function kindOf(path: string): Promise<"folder" | "file" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "nothing"; // or what cannot be looked at, which is told when it is written
  }
}
