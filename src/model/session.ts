import type { Engine, Subject } from "../engine/engine.js";
import * as calls from "./calls.js";
import { SdRpnError } from "../base/errors.js";
import type { Picture } from "../image/picture.js";
import { setInternals } from "./engine-of.js";
import type { AnswerOptions, PredictOptions } from "../answer/options.js";
import { signalSchema } from "../base/schemas.js";
import type { SessionHandle } from "../engine/session-cache.js";
import { ThreadBound } from "../base/thread-bound.js";
import type { Answer, AnswerEvent, RoI } from "../base/types.js";
import { parseOptions } from "../base/validate.js";

/**
 * One picture in front of a model, made by `model.open(image)`: it is decoded and encoded once, and questions reuse the
 * state of [system][image]. Its methods are those of the model without the image argument; results are the same.
 */
export class Session extends ThreadBound {
  private readonly closing = new AbortController();

  /** @internal */
  constructor(
    private readonly engineOf: () => Engine,
    private readonly picture: Picture,
    private readonly view: Buffer,
    private readonly handle: SessionHandle,
    private readonly onDispose: (session: Session) => void,
  ) {
    super("session");
    setInternals(this, { engine: () => this.engine(), subject: () => this.subject() });
  }

  /** Where the answer to a question can be read; see {@link Model.predictRoI}. */
  predictRoI(question: string, options?: PredictOptions): Promise<RoI> {
    return calls.predictRoI(this.host, question, options);
  }

  /** The answer to a question; see {@link Model.answer}. */
  answer(question: string, options?: AnswerOptions): Promise<Answer> {
    return calls.answer(this.host, question, options);
  }

  /** The answer as it comes; see {@link Model.answerStream}. */
  answerStream(question: string, options?: AnswerOptions): AsyncGenerator<AnswerEvent, void, undefined> {
    return calls.answerStream(this.host, question, options);
  }

  /** The projector's output, Float32Array [tokens * n_embd], row-major over the grid. */
  async encodeImage(options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { signal } = parseOptions(signalSchema, options);
    return calls.inTurn(this.host, signal, (engine, either) => engine.encode(this.view, either));
  }

  /** Frees the picture's state. Calls under way reject with DISPOSED, as later ones do. Disposing twice is fine. */
  async dispose(): Promise<void> {
    if (!this.closing.signal.aborted) {
      this.closing.abort();
      this.onDispose(this);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private readonly engine = (): Engine => {
    if (this.closing.signal.aborted) {
      throw new SdRpnError("DISPOSED", "The session was disposed: open the image again");
    }
    return this.engineOf();
  };

  private readonly subject = async (): Promise<Subject> => ({
    picture: this.picture,
    session: this.handle,
    decodeMs: 0,
    visionMs: 0,
    release: () => {},
  });

  private readonly host: calls.Host = { engine: this.engine, subject: this.subject, closing: this.closing.signal, client: this };
}
