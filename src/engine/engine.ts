import { CallQueue } from "../base/call-queue.js";
import { SdRpnError } from "../base/errors.js";
import { openPicture, type Picture } from "../image/picture.js";
import type { TakenPicture } from "../image/taken-picture.js";
import type { ViewLayout } from "../image/view-layout.js";
import type {
  NativeAnswer,
  NativeAttention,
  NativeChoices,
  NativeGenerateParams,
  NativeLabelMaps,
  NativeModel,
  NativeModelInfo,
  NativeRegionParams,
  NativeRoI,
  NativeRpnInfo,
  NativeTurn,
  NativeView,
} from "../native/binding.js";
import { orAborted, throwIfAborted } from "../base/abort.js";
import { inThisRealm, runJob, runJobWithCallback } from "../native/job.js";
import type { Prompt } from "../prompt/prompt.js";
import { OpenedPicture, OpenedPictures, type PictureInUse } from "./opened-picture.js";
import { checkFits, leastTokens, type PromptParts } from "./fits.js";
import type { Preamble, Setting } from "./preamble.js";
import { type HeadChoice, presetFor } from "./head-choice.js";
import { modelIdentity } from "./model-identity.js";
import { SessionCache, type SessionHandle } from "./session-cache.js";
import type { ImageInput, Turn } from "../base/types.js";
import { type ImageTokens, type Views, viewsOf } from "./views.js";

/** The limits given to `loadModel`. */
export interface EngineLimits {
  sessionCacheBytes: number;
  maxImagePixels?: number;
  /** answers decoded together */
  parallel: number;
  /** calls that may wait */
  maxQueue: number;
  /** of a picture's view */
  imageTokens?: ImageTokens;
}

/** A decoded picture, and what the model sees of it. */
export interface ReadPicture {
  picture: Picture;
  layout: ViewLayout;
  view: NativeView;
  /** milliseconds that it took */
  ms: number;
}

/** The native model with its prompt, call queue and session cache: what Model and Session share. */
export class Engine {
  readonly cache: SessionCache;
  readonly calls: CallQueue;
  /** of calls that do not say how many tokens a picture may take */
  readonly views: Views;
  /** what stands before a picture without a system text */
  readonly plain: Preamble;
  private refused = false;

  constructor(
    readonly native: NativeModel,
    readonly info: NativeModelInfo,
    prompt: Prompt,
    /** tokens before the image */
    readonly prefix: Int32Array,
    readonly limits: EngineLimits,
    /** the attention heads that say where the answer is; null where none were chosen */
    readonly heads: HeadChoice | null = null,
  ) {
    this.plain = { prompt, tokens: prefix, between: [], system: false };
    this.views = viewsOf(info, limits.imageTokens);
    this.cache = new SessionCache(limits.sessionCacheBytes, (view, preamble) => this.openSession(view, undefined, preamble), (id) => this.dropSession(id));
    // twice as many as are decoded together, so that pictures are read while answers are written, and two for regions
    this.calls = new CallQueue(2 * limits.parallel + 2, limits.maxQueue);
  }

  /** The views of a call. @throws {SdRpnError} INVALID_ARGUMENT where the model has no choice of them */
  viewsFor(imageTokens: ImageTokens | undefined): Views {
    return imageTokens ? viewsOf(this.info, imageTokens) : this.views;
  }

  /**
   * Checks that the model, and the session of `picture`, are not disposed.
   *
   * @param picture the subject of the call; that of a session may have been disposed
   * @throws {SdRpnError} DISPOSED
   */
  checkUsable(picture?: unknown): void {
    if ((picture instanceof OpenedPicture || picture instanceof OpenedPictures) && picture.closing?.aborted) {
      throw new SdRpnError("DISPOSED", "The session was disposed: open the image again");
    }
    if (this.refused) {
      throw new SdRpnError("DISPOSED", "The model was disposed: load it again");
    }
  }

  /** Rejects all further calls. */
  refuseCalls(): void {
    this.refused = true;
  }

  /** Frees the native model. Calls under way reject with DISPOSED. */
  close(): Promise<void> {
    return this.native.close();
  }

  /**
   * What stands before each picture of a call.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT for a system text that the model's template does not take, or with an opened picture, which
   *   has its own; CONTEXT_OVERFLOW
   */
  async preambleOf(subject: unknown, system: string | undefined, signal?: AbortSignal): Promise<Preamble> {
    const opened = subject instanceof OpenedPictures ? subject.pictures[0] : subject;
    if (opened instanceof OpenedPicture) {
      if (system !== undefined) {
        throw new SdRpnError("INVALID_ARGUMENT", "Expected no system text in the calls of a session, which stands before its picture: pass it to open");
      }
      return opened.session.preamble;
    }
    if (system === undefined) {
      return this.plain;
    }
    this.checkFits({ prefix: leastTokens(this.info, system), system: true });
    const prompt = this.plain.prompt.withSystem(system);
    const tokens = await runJob(this.native, () => this.native.tokenize(prompt.prefix, prompt.addBos), signal);
    this.checkFits({ prefix: tokens.length, system: true });
    return { prompt, tokens, between: [], system: true };
  }

  /**
   * What stands before and between `count` pictures in one prompt.
   *
   * @param single what stands before one
   * @throws {SdRpnError} CONTEXT_OVERFLOW; INVALID_ARGUMENT where there is none, or the model's template does not take so many
   */
  async preambleOfAll(single: Preamble, count: number, views: Views, signal?: AbortSignal): Promise<Preamble> {
    if (count === 0) {
      throw new SdRpnError("INVALID_ARGUMENT", "Expected at least one image but received an empty list");
    }
    if (count === 1) {
      return single;
    }
    this.checkFits({ ...partsOf(single), views, pictures: count });
    const prompt = single.prompt.withPictures(count);
    const tokens = await runJob(this.native, () => this.native.tokenize(prompt.prefix, prompt.addBos), signal);
    const between = [];
    for (const segments of prompt.between) {
      between.push(await runJob(this.native, () => this.native.tokenize(segments, false), signal));
    }
    return { prompt, tokens, between, system: single.system };
  }

  /**
   * The tokens after the image. Checks before any work on the picture that prefix, earlier turns, question and `looks` second
   * looks leave room for an answer.
   *
   * @throws {SdRpnError} CONTEXT_OVERFLOW; INVALID_ARGUMENT for a history that the model's template does not take
   */
  async tokenize(
    question: string,
    looks: number,
    signal?: AbortSignal,
    { views = this.views, preamble = this.plain, history = [] }: Partial<Setting> & { history?: readonly Turn[] } = {},
  ): Promise<Int32Array> {
    const { prompt } = preamble;
    const about = { ...partsOf(preamble), views, looks, messages: history.length };
    // a text that is too long by this bound is rejected without being tokenized
    const least = history.reduce((sum, { text }) => sum + leastTokens(this.info, text), leastTokens(this.info, question));
    this.checkFits({ ...about, asked: least, what: "at least " });
    const segments = history.length > 0 ? prompt.conversation(history, question) : prompt.suffix(question);
    const tokens = await runJob(this.native, () => this.native.tokenize(segments, false), signal);
    this.checkFits({ ...about, asked: tokens.length });
    return tokens;
  }

  /**
   * The tokens by which the model would write each text as its answer to a question of `asked` tokens. Checks that the longest fits.
   *
   * @throws {SdRpnError} CONTEXT_OVERFLOW
   */
  async tokenizeAnswers(
    texts: readonly string[],
    asked: Int32Array,
    looks: number,
    signal?: AbortSignal,
    { views = this.views, preamble = this.plain }: Partial<Setting> = {},
  ): Promise<Int32Array[]> {
    const [end] = preamble.prompt.suffix("").slice(-1);
    const all = await runJob(this.native, () => this.native.tokenizeAnswers(end.text, texts), signal);
    const longest = Math.max(...all.map(({ length }) => length));
    // a prompt leaves room for one token as it is
    this.checkFits({ ...partsOf(preamble), views, looks, asked: asked.length + longest - 1, what: "with its longest choice " });
    return all;
  }

  /** @throws {SdRpnError} INVALID_ARGUMENT with the line of the fault */
  checkGrammar(text: string, signal?: AbortSignal): Promise<void> {
    return runJob(this.native, () => this.native.checkGrammar(text), signal);
  }

  private checkFits(parts: Omit<PromptParts, "views"> & { views?: Views }): void {
    checkFits({ views: this.views, ...parts }, this.info.contextSize);
  }

  /** @throws {SdRpnError} RPN_NOT_LOADED */
  requireRpn(): NativeRpnInfo {
    if (!this.info.rpn) {
      throw new SdRpnError("RPN_NOT_LOADED", "This model was loaded without an RPN: pass the path of one as rpn to loadModel, or ask with method \"vicrop\", which needs none");
    }
    return this.info.rpn;
  }

  /** @throws {SdRpnError} INVALID_ARGUMENT where the model was loaded without heads */
  requireHeads(): HeadChoice {
    if (!this.heads) {
      const preset = presetFor(modelIdentity(this));
      const known = preset ? `, or the preset "${preset}" if this is such a model` : "";
      throw new SdRpnError(
        "INVALID_ARGUMENT",
        `Expected a model with heads for method "attention": choose them with \`sd-rpn heads --out heads.json\` and pass the file as heads to loadModel${known}`,
      );
    }
    return this.heads;
  }

  get defaultThreshold(): number {
    // rounded to seven digits, the precision of the file's float32: 0.15, not 0.15000000596
    return Number((this.info.rpn?.threshold || 0.15).toPrecision(7));
  }

  /** Decodes a picture. */
  async decode(image: ImageInput | TakenPicture, signal?: AbortSignal): Promise<Picture> {
    throwIfAborted(signal);
    const picture = await openPicture(image, { maxImagePixels: this.limits.maxImagePixels, signal });
    throwIfAborted(signal);
    return picture;
  }

  /** Decodes a picture and scales it to the model's view. */
  async read(image: ImageInput | TakenPicture, signal?: AbortSignal, views = this.views): Promise<ReadPicture> {
    const start = performance.now();
    const picture = await this.decode(image, signal);
    const layout = views.plan(picture);
    const view = await views.draw(picture, layout);
    throwIfAborted(signal);
    return { picture, layout, view, ms: performance.now() - start };
  }

  /** The picture of a call: that of a session, or the image given with the call, through the session cache. */
  async usePicture(picture: ImageInput | TakenPicture | OpenedPicture, signal?: AbortSignal, { views = this.views, preamble = this.plain }: Partial<Setting> = {}): Promise<PictureInUse> {
    this.checkUsable(picture);
    if (picture instanceof OpenedPicture) {
      return { picture, key: "", decodeMs: 0, visionMs: 0, release: () => {} };
    }
    return this.acquire(await this.read(picture, signal, views), signal, { views, preamble });
  }

  /** A decoded picture, through the session cache. */
  async useDecoded(picture: Picture, signal: AbortSignal | undefined, setting: Setting): Promise<PictureInUse> {
    throwIfAborted(signal);
    const start = performance.now();
    const layout = setting.views.plan(picture);
    const view = await setting.views.draw(picture, layout);
    return this.acquire({ picture, layout, view, ms: performance.now() - start }, signal, setting);
  }

  private async acquire({ picture: source, layout, view, ms }: ReadPicture, signal: AbortSignal | undefined, { views, preamble }: Setting): Promise<PictureInUse> {
    this.checkUsable();
    const acquired = this.cache.acquire(view, preamble);
    try {
      const { session, key, fresh, release } = await orAborted(acquired, signal);
      return { picture: new OpenedPicture(source, layout, views, session), key, decodeMs: ms, visionMs: fresh ? session.visionMs : 0, release };
    } catch (error) {
      acquired.then(({ release }) => release(0)).catch(() => {});
      throw error;
    }
  }

  async openSession(view: NativeView, signal?: AbortSignal, preamble = this.plain): Promise<SessionHandle & { bytes: number }> {
    this.checkUsable();
    const opened = await runJob(this.native, () => this.native.open(preamble.tokens, view), signal);
    return { id: opened.session, preamble, tokens: opened.tokens, visionMs: opened.timings.vision, bytes: opened.bytes };
  }

  /** A session of all these pictures, for answers; to be dropped by itself. */
  async joinSessions(sessions: readonly SessionHandle[], preamble: Preamble, signal?: AbortSignal): Promise<SessionHandle & { bytes: number }> {
    this.checkUsable();
    const ids = Int32Array.from(sessions, ({ id }) => id);
    const joined = await runJob(this.native, () => this.native.join(preamble.tokens, ids, preamble.between), signal);
    return { id: joined.session, preamble, tokens: joined.tokens, visionMs: joined.timings.vision, bytes: joined.bytes };
  }

  /** A session of the same picture of which only these cells are fed; to be dropped by the caller. */
  async prunedSession(session: number, keep: Int32Array, signal?: AbortSignal): Promise<number> {
    return (await runJob(this.native, () => this.native.prune(session, keep), signal)).session;
  }

  dropSession(id: number): void {
    this.native.drop(id).promise.catch(() => {}); // a model disposed meanwhile has dropped it already
  }

  async encode(view: NativeView, signal?: AbortSignal): Promise<Float32Array> {
    this.checkUsable();
    return inThisRealm(await runJob(this.native, () => this.native.encode(view), signal));
  }

  /** What the network says of a question; no layer beyond the branch runs. */
  async roi(session: number, question: Int32Array, params: NativeRegionParams, signal?: AbortSignal): Promise<NativeRoI> {
    const result = await runJob(this.native, () => this.native.roi(session, question, params), signal);
    if (!(result.logits ?? []).every(Number.isFinite) || !Number.isFinite(result.gate ?? 0)) {
      throw new SdRpnError("RPN_INVALID", "The region proposal network returned values that are not finite: its file or the model's may be damaged");
    }
    return result;
  }

  answer(
    session: number,
    question: Int32Array,
    views: NativeView[],
    params: NativeGenerateParams,
    onText: ((text: string) => void) | undefined,
    signal?: AbortSignal,
  ): Promise<NativeAnswer> {
    return runJobWithCallback(this.native, (say) => this.native.answer(session, question, views, params, say), onText, signal);
  }

  /** How likely each of the choices is as the answer. */
  choose(session: number, question: Int32Array, views: NativeView[], choices: Int32Array[], turn: NativeTurn, signal?: AbortSignal): Promise<NativeChoices> {
    return runJob(this.native, () => this.native.choose(session, question, views, choices, turn), signal);
  }

  /**
   * The attention to a session's picture while the model answers a question greedily (paper section 3): runs in a separate
   * context without flash attention, created at the first call. Consecutive questions of one session share
   * [system][image].
   *
   * @param params `layers`: requested ones, without duplicates; `question`: the question-to-image maps too
   */
  async attention(
    session: number,
    question: Int32Array,
    params: { layers: readonly number[]; maxTokens: number; question: boolean },
    signal?: AbortSignal,
  ): Promise<NativeAttention> {
    const layers = Int32Array.from(params.layers);
    const result = await runJob(this.native, () => this.native.attention(session, question, { ...params, layers }), signal);
    return { ...result, output: inThisRealm(result.output), question: result.question && inThisRealm(result.question) };
  }

  /** The mean maps of the listed heads, flat pairs of layer and head, and the answer; otherwise as {@link attention}. */
  async labelMaps(
    session: number,
    question: Int32Array,
    params: { grounding: readonly number[]; sink: readonly number[]; maxTokens: number },
    signal?: AbortSignal,
  ): Promise<NativeLabelMaps> {
    const grounding = Int32Array.from(params.grounding);
    const sink = Int32Array.from(params.sink);
    const { maxTokens } = params;
    const result = await runJob(this.native, () => this.native.labelMaps(session, question, { grounding, sink, maxTokens }), signal);
    return { ...result, grounding: inThisRealm(result.grounding), sink: inThisRealm(result.sink) };
  }
}

function partsOf({ tokens, between, system }: Preamble): { prefix: number; system: boolean; pictures: number } {
  return { prefix: tokens.length + between.reduce((sum, { length }) => sum + length, 0), system, pictures: between.length + 1 };
}
