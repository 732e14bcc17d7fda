import { z } from "zod";
import * as calls from "./calls.js";
import { Engine } from "../engine/engine.js";
import { type HeadChoice, headPreset, headsOfFile, isHeadPreset, readHeadsFile } from "../engine/head-choice.js";
import { type ModelIdentity, modelIdentity } from "../engine/model-identity.js";
import { takeSubject } from "../engine/opened-picture.js";
import { dropOpened, openSubject } from "../engine/open-subject.js";
import { setEngineOf } from "./engine-of.js";
import { binding } from "../native/binding.js";
import { throwIfAborted } from "../base/abort.js";
import { runJob, runJobWithCallback } from "../native/job.js";
import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import type { AnswerOptions, PredictOptions } from "../answer/options.js";
import { type LoadOptions, loadSchema } from "./load-options.js";
import { abortSignal, imageTokensSchema, systemSchema } from "../base/schemas.js";
import { imageOptionsShape, takePicture } from "../image/taken-picture.js";
import { makePrompt } from "../prompt/prompt.js";
import { resolveFiles } from "./resolve-files.js";
import { Session } from "./session.js";
import { ThreadBound } from "../base/thread-bound.js";
import type { AnswerEvent, ImageInput, ImageOptions, RoI, Size } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import { version } from "../base/version.js";

/** What the chat templates of Qwen-VL write for a picture. */
const QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>";

/** Options of calls about a picture alone. */
export interface PictureOptions extends ImageOptions {
  /** how many tokens the view may take; see the option of `answer` */
  imageTokens?: { min: number; max: number };
  signal?: AbortSignal;
}

/** Options of `open`. */
export interface OpenOptions extends PictureOptions {
  /** stands before the picture in all calls of the session, in the place of the system text that the model's chat template may have */
  system?: string;
}

const pictureSchema = z.strictObject({ imageTokens: imageTokensSchema.optional(), ...imageOptionsShape, signal: abortSignal });
const openSchema = pictureSchema.extend({ system: systemSchema.optional() });

/** The region proposal network of a loaded model. */
export interface RpnInfo {
  /** layers of the model before it */
  branchLayer: number;
  /** layers of its own */
  blockCount: number;
  type: string;
  threshold: number;
  baseName: string;
  baseVocabSize: number;
  /** whose rules its regions and second looks follow: SD-RPN's for LLaVA-1.5 or for Qwen2.5-VL, or Q-Zoom's */
  kind: "llava" | "sdrpn-qwen" | "qzoom";
  /** positions of a second look's tokens unless a call says others */
  roiPositions: "fresh" | "aligned";
  /** what its file says of the tokens of a view; null: nothing */
  imageTokens: { min: number; max: number } | null;
  /** its gate, and the least score with which a second look is worth it; 0: the gate is not asked unless a call says so */
  gate: { blockCount: number; threshold: number } | null;
}

/** Properties of a loaded model. */
export interface ModelInfo {
  /** of the language model, such as "llama" */
  architecture: string;
  name: string;
  layers: number;
  embeddingLength: number;
  vocabSize: number;
  /** tokens of one call */
  contextSize: number;
  trainedContext: number;
  parallel: number;
  threads: number;
  /** the kind of vision tower and prompt */
  family: "llava" | "qwen2.5-vl" | "qwen3-vl";
  /** cells of the model's view, one token each; of models whose views differ in size, of a usual one */
  grid: Size;
  /** the most and the fewest tokens of a view; the same where all views have one size */
  imageTokens: number;
  imageTokensMin: number;
  /** pixels of the model's view, or of a usual one */
  view: Size;
  /** its longer side */
  imageSize: number;
  projector: string;
  /** where the prompt comes from */
  prompt: "chat template" | "vicuna_v1";
  /** ggml's backend, such as "CPU" or "CUDA", and the device's own name */
  backend: string;
  device: string;
  /** the region proposal network, or null */
  rpn: RpnInfo | null;
  /** the attention heads of method "attention", pairs of layer and head, or null */
  heads: HeadChoice | null;
  /** paths of what was loaded, as given or as found */
  files: { model: string; mmproj: string; rpn: string | null };
  versions: { sdRpn: string; llama: string; ggml: string };
}

/**
 * Loads a model: language model, vision tower, and, where there is one, its region proposal network. Of a model that is named alone, or by its folder, the
 * others are found beside it, by what their metadata says; several that fit are INVALID_ARGUMENT, with their names. Without any of the three
 * paths it is the embedded demo model.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT, MODEL_NOT_FOUND (any of the files; not in the cache), DOWNLOAD_FAILED (with `download`), MODEL_INVALID, MMPROJ_INVALID, MMPROJ_MISMATCH,
 *   RPN_INVALID, RPN_MISMATCH, TEMPLATE_INVALID, BACKEND_UNAVAILABLE, OUT_OF_MEMORY, BINARY_NOT_FOUND, ABORTED; of `heads`
 *   IO_ERROR, and DATA_INVALID where it is no such file or was made with another model
 */
export async function loadModel(options: LoadOptions = {}): Promise<Model> {
  const checked = parseOptions(loadSchema, options);
  const heads = await readHeads(checked.heads);
  const { model, mmproj, rpn } = await resolveFiles(checked);
  throwIfAborted(checked.signal);
  const native = new (binding().Model)(checked.log);
  try {
    const params = {
      model,
      mmproj,
      rpn: rpn ?? "",
      gpuLayers: checked.gpuLayers === "auto" ? -1 : checked.gpuLayers,
      threads: checked.threads ?? 0,
      contextSize: checked.contextSize ?? 0,
      parallel: checked.parallel,
      memory: process.availableMemory(), // of the container where there is one
    };
    const info = await runJobWithCallback(native, (report) => native.load(params, report), checked.onProgress, checked.signal);
    const prompt = makePrompt({ ...info, pictureMarkup: info.vision.family === "llava" ? null : QWEN_PICTURE });
    const prefix = await runJob(native, () => native.tokenize(prompt.prefix, prompt.addBos), checked.signal);
    throwIfAborted(checked.signal); // the caller could not dispose of a model that arrives after its load was aborted
    return new Model(new Engine(native, info, prompt, prefix, checked, heads(modelIdentity({ info }))), { model, mmproj, rpn: rpn ?? null });
  } catch (error) {
    await native.close();
    throw error;
  }
}

/** The choice of heads for a model that is yet to be loaded; a file is read before, so that a wrong path costs no time. */
async function readHeads(heads: string | undefined): Promise<(model: ModelIdentity) => HeadChoice | null> {
  if (heads === undefined) {
    return () => null;
  }
  if (isHeadPreset(heads)) {
    return (model) => headPreset(heads, model);
  }
  const file = await readHeadsFile(heads);
  return (model) => headsOfFile(file, model);
}

/**
 * A loaded model. Calls may overlap freely; each returns what it would have returned alone, except that calls decoded
 * together add their numbers in another order: probabilities of maps differ by less than 1e-3 (4e-4 is the most that was
 * seen), so that a box may change where a probability lies that close to the threshold, and a token of an answer where two
 * are as likely. All work is done off the event loop, on a thread of the model's own.
 */
export class Model extends ThreadBound {
  /** What was loaded, and where it runs. */
  readonly info: Readonly<ModelInfo>;
  private readonly sessions = new Set<Session>();
  private disposing: Promise<void> | undefined;

  /** @internal use {@link loadModel} */
  constructor(
    private readonly engine: Engine,
    files: ModelInfo["files"],
  ) {
    super("model");
    setEngineOf(this, engine);
    const { info, views } = engine;
    this.info = Object.freeze({
      architecture: info.architecture,
      name: info.name,
      layers: info.layers,
      embeddingLength: info.embeddingLength,
      vocabSize: info.vocabSize,
      contextSize: info.contextSize,
      trainedContext: info.trainedContext,
      parallel: info.parallel,
      threads: info.threads,
      family: info.vision.family,
      grid: { ...info.vision.grid },
      imageTokens: views.tokens.max,
      imageTokensMin: views.tokens.min,
      view: { ...info.vision.view },
      imageSize: Math.max(info.vision.view.width, info.vision.view.height),
      projector: info.vision.projector,
      prompt: info.chatTemplate === null ? "vicuna_v1" : "chat template",
      backend: info.backend,
      device: info.device,
      rpn: info.rpn && {
        branchLayer: info.rpn.branchLayer,
        blockCount: info.rpn.blockCount,
        type: info.rpn.type,
        threshold: engine.defaultThreshold,
        baseName: info.rpn.baseName,
        baseVocabSize: info.rpn.baseVocabSize,
        kind: info.rpn.kind,
        roiPositions: info.rpn.roiPositions,
        imageTokens: info.rpn.imageTokens && { ...info.rpn.imageTokens },
        gate: info.rpn.gate && { ...info.rpn.gate, threshold: Number(info.rpn.gate.threshold.toPrecision(7)) },
      },
      heads: structuredClone(engine.heads),
      files: { ...files },
      versions: { sdRpn: version, llama: info.llamaVersion, ggml: info.ggmlVersion },
    });
  }

  /**
   * Where in the picture the answer to a question can be read: one forward pass through the lower layers and the region
   * proposal network, no decoding (paper section 3); or what another {@link PredictOptions.method} makes of the model's attention.
   *
   * @returns boxes and region in source pixels after EXIF rotation, and the map of probabilities before the blur
   * @throws {SdRpnError} RPN_NOT_LOADED where nothing was loaded that finds regions and no method is named, INVALID_ARGUMENT, IMAGE_INVALID, IMAGE_TOO_LARGE, CONTEXT_OVERFLOW, ABORTED, DISPOSED
   */
  predictRoI(image: ImageInput, question: string, options?: PredictOptions): Promise<RoI> {
    return calls.predictRoI(this.engine, image, question, options);
  }

  /**
   * The answer to a question about a picture; by default with a second look, at full resolution, at the region that the
   * network proposes (see {@link AnswerOptions.roi}). Of a list of images all are read, in order, and each may get a second look. An aborted call rejects; the error's `answer` has the text so far,
   * with finishReason "aborted".
   *
   * @throws {SdRpnError} as {@link predictRoI}, RPN_NOT_LOADED for roi "always" and method "rpn" only
   */
  answer<Format extends JsonFormat | undefined = undefined>(image: ImageInput | readonly ImageInput[], question: string, options?: AnswerOptions<Format>): Promise<AnswerOf<Format>> {
    return calls.answer(this.engine, image, question, options);
  }

  /** The answer as it comes: the region (where one was looked for), pieces of text, and the whole answer last. */
  answerStream<Format extends JsonFormat | undefined = undefined>(
    image: ImageInput | readonly ImageInput[],
    question: string,
    options?: AnswerOptions<Format>,
  ): AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined> {
    return calls.answerStream(this.engine, image, question, options);
  }

  /**
   * Opens a picture, or several, for many questions: it is decoded and encoded once.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT, IMAGE_INVALID, IMAGE_TOO_LARGE, CONTEXT_OVERFLOW, ABORTED, DISPOSED
   */
  async open(image: ImageInput | readonly ImageInput[], options: OpenOptions = {}): Promise<Session> {
    const { imageTokens, system, signal, ...reading } = parseOptions(openSchema, options);
    const views = this.engine.viewsFor(imageTokens);
    const taken = takeSubject(image, reading, signal);
    return calls.inTurn(this.engine, image, signal, async (own) => {
      const preamble = await this.engine.preambleOf(image, system, own);
      const closing = new AbortController();
      const { opened, view } = await openSubject(this.engine, taken, { views, preamble }, closing.signal, own);
      const session = new Session(this.engine, opened, view, closing, (closed) => {
        this.sessions.delete(closed);
        if (!this.disposing) {
          dropOpened(this.engine, opened);
        }
      });
      this.sessions.add(session);
      return session;
    });
  }

  /**
   * The vision tower's output for a picture's view, Float32Array [tokens * n], row-major over the grid; n is the model's embedding length, or
   * that times (1 + number of deepstack layers) for Qwen3-VL.
   */
  async encodeImage(image: ImageInput, options: PictureOptions = {}): Promise<Float32Array> {
    const { imageTokens, signal, ...reading } = parseOptions(pictureSchema, options);
    const views = this.engine.viewsFor(imageTokens);
    const taken = takePicture(image, reading, signal);
    return calls.inTurn(this.engine, image, signal, async (own) => {
      const { view } = await this.engine.read(taken, own, views);
      return this.engine.encode(view, own);
    });
  }

  /** Frees the model and its sessions. Calls under way reject with DISPOSED, as later ones do. Disposing twice is fine. */
  dispose(): Promise<void> {
    this.engine.refuseCalls();
    this.disposing ??= this.free();
    return this.disposing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async free(): Promise<void> {
    await Promise.all([...this.sessions].map((session) => session.dispose()));
    await this.engine.close();
  }
}
