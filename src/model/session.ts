import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import type { SessionAnswerOptions, SessionPredictOptions } from "../answer/options.js";
import { SdRpnError } from "../base/errors.js";
import { chatSchema, signalSchema } from "../base/schemas.js";
import { ThreadBound } from "../base/thread-bound.js";
import type { AnswerEvent, RoI, Turn } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture, type OpenedPictures } from "../engine/opened-picture.js";
import * as calls from "./calls.js";
import { Chat } from "./chat.js";
import { setEngineOf } from "./engine-of.js";
import type { NativeView } from "../native/binding.js";

/**
 * A picture in front of a model, or several, made by `model.open(image)`: it is decoded and encoded once, and questions reuse the
 * state of [system][image]. The system text is that of `open`. Its methods are those of the model without the image argument; results are the same.
 */
export class Session extends ThreadBound {
  /** @internal */
  constructor(
    private readonly engine: Engine,
    private readonly opened: OpenedPicture | OpenedPictures,
    /** of one picture */
    private readonly view: NativeView | null,
    /** of the `closing` of what was opened */
    private readonly closing: AbortController,
    private readonly onDispose: (session: Session) => void,
  ) {
    super("session");
    setEngineOf(this, engine, opened);
  }

  /** Where the answer to a question can be read; see {@link Model.predictRoI}. Of one picture only. */
  async predictRoI(question: string, options?: SessionPredictOptions): Promise<RoI> {
    return calls.predictRoI(this.engine, onePicture(this.opened, "predictRoI"), question, options);
  }

  /** The answer to a question; see {@link Model.answer}. */
  answer<Format extends JsonFormat | undefined = undefined>(question: string, options?: SessionAnswerOptions<Format>): Promise<AnswerOf<Format>> {
    return calls.answer(this.engine, this.opened, question, options);
  }

  /** The answer as it comes; see {@link Model.answerStream}. */
  answerStream<Format extends JsonFormat | undefined = undefined>(
    question: string,
    options?: SessionAnswerOptions<Format>,
  ): AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined> {
    return calls.answerStream(this.engine, this.opened, question, options);
  }

  /**
   * A conversation about the picture, which goes on from `history` where that is given. A session may have several.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT, DISPOSED
   */
  chat(options: { history?: Turn[] } = {}): Chat {
    const { history } = parseOptions(chatSchema, options);
    this.engine.checkUsable(this.opened);
    return new Chat(this.engine, this.opened, history);
  }

  /** The projector's output, of one picture only: Float32Array [tokens * n_embd], row-major over the grid. */
  async encodeImage(options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { signal } = parseOptions(signalSchema, options);
    return calls.inTurn(this.engine, onePicture(this.opened, "encodeImage"), signal, (either) => this.engine.encode(this.view!, either));
  }

  /** Frees the state of what was opened. Calls under way reject with DISPOSED, as later ones do. Disposing twice is fine. */
  async dispose(): Promise<void> {
    if (!this.closing.signal.aborted) {
      this.closing.abort();
      this.onDispose(this);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function onePicture(opened: OpenedPicture | OpenedPictures, method: string): OpenedPicture {
  if (opened instanceof OpenedPicture) {
    return opened;
  }
  throw new SdRpnError("INVALID_ARGUMENT", `Expected a session of one image for ${method} but this one was opened with a list: open the image alone, or call ${method} of the model with it`);
}
