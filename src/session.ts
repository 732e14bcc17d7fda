import type { Engine, Subject } from "./engine.js";
import * as asker from "./asker.js";
import { SdRpnError } from "./errors.js";
import type { Picture } from "./image/picture.js";
import { setInternals } from "./internals.js";
import type { AnswerOptions, PredictOptions } from "./options.js";
import { signalSchema } from "./options.js";
import type { SessionHandle } from "./session-cache.js";
import { ThreadBound } from "./thread-bound.js";
import type { Answer, AnswerEvent, RoI } from "./types.js";
import { parseOptions } from "./validate.js";

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
    return asker.predictRoI(this.host, question, options);
  }

  /** The answer to a question; see {@link Model.answer}. */
  answer(question: string, options?: AnswerOptions): Promise<Answer> {
    return asker.answer(this.host, question, options);
  }

  /** The answer as it comes; see {@link Model.answerStream}. */
  answerStream(question: string, options?: AnswerOptions): AsyncGenerator<AnswerEvent, void, undefined> {
    return asker.answerStream(this.host, question, options);
  }

  /** The projector's output, Float32Array [tokens * n_embd], row-major over the grid. */
  async encodeImage(options: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { signal } = parseOptions(signalSchema, options);
    return asker.inTurn(this.host, signal, (engine, either) => engine.encode(this.view, either));
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

  private readonly host: asker.Host = { engine: this.engine, subject: this.subject, closing: this.closing.signal, client: this };
}
