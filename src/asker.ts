import { z } from "zod";
import { ask, type OpenSubject, predict } from "./ask.js";
import { streamAnswer } from "./answer-stream.js";
import type { Engine } from "./engine.js";
import { answerSchema, type AnswerOptions, type PredictOptions, questionSchema, predictSchema } from "./options.js";
import type { Answer, AnswerEvent, RoI } from "./types.js";
import { parseOptions } from "./validate.js";

const question = z.strictObject({ question: questionSchema });

function checkQuestion(value: unknown): string {
  return parseOptions(question, { question: value }).question;
}

/** The checked calls that a model (with its image argument) and a session (without) have in common. */
export async function predictRoI(engine: () => Engine, open: OpenSubject, text: unknown, options: PredictOptions = {}): Promise<RoI> {
  const checked = parseOptions(predictSchema, options);
  return predict(engine(), open, checkQuestion(text), checked);
}

export async function answer(engine: () => Engine, open: OpenSubject, text: unknown, options: AnswerOptions = {}): Promise<Answer> {
  const checked = parseOptions(answerSchema, options);
  return ask(engine(), open, checkQuestion(text), checked);
}

export async function* answerStream(
  engine: () => Engine,
  open: OpenSubject,
  text: unknown,
  options: AnswerOptions = {},
): AsyncGenerator<AnswerEvent, void, undefined> {
  const checked = parseOptions(answerSchema, options);
  const asked = checkQuestion(text);
  yield* streamAnswer((on, signal) => {
    const onToken = (piece: string): void => {
      on.text(piece);
      checked.onToken?.(piece);
    };
    return ask(engine(), open, asked, { ...checked, onToken, signal }, on.roi);
  }, checked.signal);
}
