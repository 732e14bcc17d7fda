import { z } from "zod";
import { binding } from "../native/binding.js";
import { runJobWithCallback } from "../native/job.js";
import { parseOptions } from "../base/validate.js";

export const RPN_TYPES = ["f32", "f16", "q8_0", "q4_k"] as const;

const schema = z.strictObject({
  checkpoint: z.string().min(1),
  out: z.string().min(1),
  type: z.enum(RPN_TYPES).default("f16"),
  name: z.string().default(""),
  threshold: z.number().min(-1).max(1).default(0.15),
  onProgress: z.custom<(fraction: number) => void>((value) => typeof value === "function").describe("function").optional(),
  signal: z.instanceof(AbortSignal).describe("AbortSignal").optional(),
});

export interface ConvertOptions {
  /** folder of a published SD-RPN checkpoint (config.json and safetensors, whole or in shards with an index) */
  checkpoint: string;
  /** the RPN file to write */
  out: string;
  /** type of the weights; norms stay f32; default f16 */
  type?: (typeof RPN_TYPES)[number];
  /** name of the base model, for information */
  name?: string;
  /** default threshold to write into the file; default 0.15 */
  threshold?: number;
  /** receives 0..1 */
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
}

export interface ConvertResult {
  tensors: number;
  bytesRead: number;
  bytesWritten: number;
  /** tensors whose rows the type cannot divide, with the type they got instead */
  fallbacks: string[];
}

/**
 * Makes an RPN file out of a published checkpoint, reading just the tensors that it needs.
 *
 * @throws {SdRpnError} CHECKPOINT_INVALID, IO_ERROR, INVALID_ARGUMENT, ABORTED
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<ConvertResult> {
  const { onProgress, signal, ...params } = parseOptions(schema, options);
  const native = new (binding().Converter)();
  try {
    return await runJobWithCallback(native, (report) => native.run(params, report), onProgress, signal);
  } finally {
    await native.close();
  }
}
