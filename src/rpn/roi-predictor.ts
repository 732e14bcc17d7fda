import { types } from "node:util";
import { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import { binding, type NativeRpn, type NativeRpnInfo } from "../native/binding.js";
import { inThisRealm, runJob } from "../native/job.js";
import { pathSchema } from "../base/schemas.js";
import { ThreadBound } from "../base/thread-bound.js";
import { parseOptions } from "../base/validate.js";

const signal = z.instanceof(AbortSignal).describe("AbortSignal").optional();
const loadSchema = z.strictObject({ threads: z.int().min(1).max(512).default(1), gpu: z.boolean().default(false), signal });
const scoreSchema = z.strictObject({
  tokens: z.int().min(1),
  imageStart: z.int().min(0),
  imageTokens: z.int().min(1),
  queryIndex: z.int().min(0),
  signal,
});
const fileSchema = z.strictObject({ path: pathSchema });

export interface ScoreOptions {
  /** rows of `hidden`, at positions 0.. */
  tokens: number;
  /** row of the first image token */
  imageStart: number;
  imageTokens: number;
  /** row of the query: at inference the prompt's last token */
  queryIndex: number;
  signal?: AbortSignal;
}

/**
 * The region proposal network alone, for research: hidden states in, map out.
 */
export class RoIPredictor extends ThreadBound {
  private disposing: Promise<void> | undefined;

  private constructor(
    private readonly native: NativeRpn,
    /** Properties of the file: branch layer K, blocks T, width, heads, weight type, default threshold, base model. */
    readonly info: Readonly<NativeRpnInfo>,
  ) {
    super("predictor");
  }

  /**
   * Loads an RPN file.
   *
   * @param options `threads` of the CPU backend (default 1), `gpu`: run on the GPU where there is one (default false)
   * @throws {SdRpnError} INVALID_ARGUMENT, MODEL_NOT_FOUND, RPN_INVALID, OUT_OF_MEMORY, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string, options: { threads?: number; gpu?: boolean; signal?: AbortSignal } = {}): Promise<RoIPredictor> {
    const file = parseOptions(fileSchema, { path });
    const { threads, gpu, signal } = parseOptions(loadSchema, options);
    const native = new (binding().Rpn)();
    try {
      const info = await runJob(native, () => native.load({ ...file, gpu, threads }), signal);
      return new RoIPredictor(native, Object.freeze(info));
    } catch (error) {
      await native.close();
      throw error;
    }
  }

  /**
   * Scores every image token against the query token: mean over heads of q.k / sqrt(d), as the reference does for LLaVA.
   *
   * @param hidden Float32Array [tokens * n_embd], row-major: the residual stream after base layers 0..K-1
   * @returns logits before the sigmoid, Float32Array [imageTokens]
   * @throws {SdRpnError} INVALID_ARGUMENT where sizes do not fit, ABORTED, DISPOSED
   */
  async score(hidden: Float32Array, options: ScoreOptions): Promise<Float32Array> {
    const { tokens, imageStart, imageTokens, queryIndex, signal } = parseOptions(scoreSchema, options);
    if (!types.isFloat32Array(hidden) || hidden.length !== tokens * this.info.embeddingLength) {
      const came = types.isFloat32Array(hidden) ? `one of length ${hidden.length}` : String(hidden);
      throw new SdRpnError("INVALID_ARGUMENT", `Expected Float32Array of length tokens x ${this.info.embeddingLength} = ${tokens * this.info.embeddingLength} for hidden but received ${came}`);
    }
    if (imageStart + imageTokens > tokens || queryIndex >= tokens) {
      throw new SdRpnError(
        "INVALID_ARGUMENT",
        `Expected image and query within the ${tokens} tokens but received imageStart ${imageStart}, imageTokens ${imageTokens}, queryIndex ${queryIndex}`,
      );
    }
    if (this.disposing) {
      throw new SdRpnError("DISPOSED", "The predictor was disposed: load it again");
    }
    return inThisRealm(await runJob(this.native, () => this.native.score(hidden, tokens, imageStart, imageTokens, queryIndex), signal));
  }

  /** Frees the network. Disposing twice is fine. */
  dispose(): Promise<void> {
    this.disposing ??= this.native.close();
    return this.disposing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
