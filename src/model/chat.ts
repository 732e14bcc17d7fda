import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import type { ChatAnswerOptions } from "../answer/options.js";
import { orAborted } from "../base/abort.js";
import { SdRpnError } from "../base/errors.js";
import { ThreadBound } from "../base/thread-bound.js";
import type { Answer, AnswerEvent, Turn } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture, OpenedPictures } from "../engine/opened-picture.js";
import * as calls from "./calls.js";

/**
 * A conversation about a session's picture, made by `session.chat()`: each question is read with the ones before it and their answers.
 * Calls are answered one after the other. A question and its answer become part of the conversation when the answer is finished; a
 * call that is aborted or fails leaves it as it was. It holds nothing that needs to be freed, and ends with its session.
 */
export class Chat extends ThreadBound {
  private readonly turns: Turn[];
  /** settles when the calls so far have ended; never rejects */
  private last: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(
    private readonly engine: Engine,
    private readonly opened: OpenedPicture | OpenedPictures,
    history: readonly Turn[],
  ) {
    super("chat");
    this.turns = structuredClone([...history]);
  }

  /** What was said so far, user and model in turn; a copy, for `history` of another chat or call. */
  get history(): Turn[] {
    return structuredClone(this.turns);
  }

  /** The answer to the next question; see {@link Session.answer}. */
  async answer<Format extends JsonFormat | undefined = undefined>(question: string, options: ChatAnswerOptions<Format> = {}): Promise<AnswerOf<Format>> {
    return this.next(check(question, options), (engine, picture, now) => calls.runAnswer(engine, picture, picture, now)) as Promise<AnswerOf<Format>>;
  }

  /** The answer to the next question as it comes; see {@link Session.answerStream}. It is part of the conversation once its `done` is there. */
  async *answerStream<Format extends JsonFormat | undefined = undefined>(
    question: string,
    options: ChatAnswerOptions<Format> = {},
  ): AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined> {
    const stream = calls.streamOf(check(question, options), (asked, onRoI) => this.next(asked, (engine, opened, now) => calls.runAnswer(engine, opened, opened, now, onRoI)));
    yield* stream as AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined>;
  }

  /** Runs a call when those before it have ended, with what was said by then. */
  private next(question: calls.CheckedQuestion, run: (engine: Engine, opened: OpenedPicture | OpenedPictures, question: calls.CheckedQuestion) => Promise<Answer>): Promise<Answer> {
    const before = this.last;
    const call = async (): Promise<Answer> => {
      await orAborted(before, question.options.signal);
      const answer = await run(this.engine, this.opened, { ...question, options: { ...question.options, history: this.history } });
      this.turns.push({ role: "user", text: question.text }, { role: "assistant", text: answer.text });
      return answer;
    };
    const running = call();
    this.last = Promise.allSettled([before, running]);
    return running;
  }
}

function check(question: unknown, options: ChatAnswerOptions): calls.CheckedQuestion {
  const checked = calls.checkAnswer(question, options);
  const own = (["history", "system"] as const).find((name) => checked.options[name] !== undefined);
  if (own !== undefined) {
    const instead = own === "history" ? "keeps its own: pass one to chat" : "has that of its session: pass it to open";
    throw new SdRpnError("INVALID_ARGUMENT", `Expected no ${own} in the calls of a chat, which ${instead}`);
  }
  return checked;
}
