import { z } from "zod";
import { ask, type OpenSubject, predict } from "../answer/answer-question.js";
import { streamAnswer } from "../answer/answer-stream.js";
import type { Engine } from "../engine/engine.js";
import { SdRpnError } from "../base/errors.js";
import { type AnswerOptions, answerSchema, type PredictOptions, predictSchema } from "../answer/options.js";
import { questionSchema } from "../base/schemas.js";
import type { Answer, AnswerEvent, RoI } from "../base/types.js";
import { parseOptions } from "../base/validate.js";

/** What a call needs of the model or session that it was made on. */
export interface Host {
  /** @throws {SdRpnError} DISPOSED */
  engine: () => Engine;
  subject: OpenSubject;
  /** whose turn a call takes: calls about one picture belong together */
  client: unknown;
  /** of a session: aborted when it is disposed */
  closing?: AbortSignal;
}

const question = z.strictObject({ question: questionSchema });

function checkQuestion(value: unknown): string {
  return parseOptions(question, { question: value }).question;
}

/** Runs a call when its turn has come. A session disposed meanwhile ends it with DISPOSED. */
export async function inTurn<T>(
  { engine, closing, client }: Pick<Host, "engine" | "closing" | "client">,
  signal: AbortSignal | undefined,
  work: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // one of the call's own: many calls may share the caller's, and Node warns of signals with many listeners
  const either = AbortSignal.any([signal, closing].filter((each) => each !== undefined));
  const { calls } = engine();
  try {
    return await calls.run(either, () => work(engine(), either), client);
  } catch (error) {
    if (closing?.aborted && !signal?.aborted && error instanceof SdRpnError && error.code === "ABORTED") {
      throw new SdRpnError("DISPOSED", "The session was disposed while the call was under way");
    }
    throw error;
  }
}

/** The checked calls that a model (with its image argument) and a session (without) have in common. */
export async function predictRoI(host: Host, text: unknown, options: PredictOptions = {}): Promise<RoI> {
  const checked = parseOptions(predictSchema, options);
  const asked = checkQuestion(text);
  return inTurn(host, checked.signal, (engine, signal) => predict(engine, host.subject, asked, { ...checked, signal }));
}

export async function answer(host: Host, text: unknown, options: AnswerOptions = {}): Promise<Answer> {
  const checked = parseOptions(answerSchema, options);
  const asked = checkQuestion(text);
  return inTurn(host, checked.signal, (engine, signal) => ask(engine, host.subject, asked, { ...checked, signal }));
}

export async function* answerStream(host: Host, text: unknown, options: AnswerOptions = {}): AsyncGenerator<AnswerEvent, void, undefined> {
  const checked = parseOptions(answerSchema, options);
  const asked = checkQuestion(text);
  yield* streamAnswer((on, left) => {
    const onToken = (piece: string): void => {
      on.text(piece);
      checked.onToken?.(piece);
    };
    return inTurn(host, left, (engine, signal) => ask(engine, host.subject, asked, { ...checked, onToken, signal }, on.roi));
  }, checked.signal);
}
