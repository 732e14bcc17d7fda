import { answerQuestion } from "../answer/answer-question.js";
import { streamAnswer } from "../answer/answer-stream.js";
import { type AnswerOptions, type CheckedAnswerOptions, parseAnswerOptions, type PredictOptions, predictSchema } from "../answer/options.js";
import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import { predictRegion } from "../answer/predict-region.js";
import { SdRpnError } from "../base/errors.js";
import { askedSchema } from "../base/schemas.js";
import { linkSignals } from "../base/signals.js";
import type { Answer, AnswerEvent, ImageInput, ImageOptions, RoI } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture } from "../engine/opened-picture.js";
import { type TakenPicture, takePicture } from "../image/taken-picture.js";

// The calls that models and sessions share. A model passes the image given by the caller, a session its opened picture; the
// functions here accept either.

/** The picture of a call, which does not change any more. That of a session was taken when it was opened. */
export function takeForCall(picture: ImageInput | OpenedPicture, options: ImageOptions | null | undefined): TakenPicture | OpenedPicture {
  return picture instanceof OpenedPicture ? picture : takePicture(picture, options ?? {});
}

function checkQuestion(question: unknown, { exact }: { exact: boolean }): string {
  return parseOptions(askedSchema, { question, exact });
}

/**
 * Runs a call when the queue starts it; calls about the same picture keep their order. If the session is disposed meanwhile,
 * the call rejects with DISPOSED.
 *
 * @param work gets a signal of this call, aborted with the caller's signal or when the session is disposed
 */
export async function inTurn<T>(
  engine: Engine,
  picture: ImageInput | OpenedPicture,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  engine.checkUsable(picture);
  const closing = picture instanceof OpenedPicture ? picture.closing : undefined;
  const { signal: either, release } = linkSignals(signal, closing);
  const start = async (): Promise<T> => {
    engine.checkUsable(picture);
    return work(either);
  };
  try {
    return await engine.calls.run(either, start, picture);
  } catch (error) {
    if (closing?.aborted && !signal?.aborted && error instanceof SdRpnError && error.code === "ABORTED") {
      throw new SdRpnError("DISPOSED", "The session was disposed while the call was under way");
    }
    throw error;
  } finally {
    release();
  }
}

export async function predictRoI(engine: Engine, picture: ImageInput | OpenedPicture, text: unknown, options: PredictOptions = {}): Promise<RoI> {
  const checked = parseOptions(predictSchema, options);
  const asked = checkQuestion(text, checked);
  const taken = takeForCall(picture, checked);
  return inTurn(engine, picture, checked.signal, (signal) => predictRegion(engine, taken, asked, { ...checked, signal }));
}

/** A question with its options, both checked. */
export interface CheckedQuestion {
  text: string;
  options: CheckedAnswerOptions;
}

/** @throws {SdRpnError} INVALID_ARGUMENT */
export function checkAnswer(text: unknown, options: AnswerOptions): CheckedQuestion {
  const checked = parseAnswerOptions(options);
  return { text: checkQuestion(text, checked), options: checked };
}

/** An answer, when its turn has come, about `taken`, which was taken of `picture`; `onRoI` gets the region before it. */
export function runAnswer(
  engine: Engine,
  picture: ImageInput | OpenedPicture,
  taken: TakenPicture | OpenedPicture,
  { text, options }: CheckedQuestion,
  onRoI?: (roi: RoI) => void,
): Promise<Answer> {
  return inTurn(engine, picture, options.signal, (signal) => answerQuestion(engine, taken, text, { ...options, signal }, onRoI));
}

/** The answer to a checked question as a stream; `run` gives the whole answer. */
export function streamOf(question: CheckedQuestion, run: (question: CheckedQuestion, onRoI: (roi: RoI) => void) => Promise<Answer>): AsyncGenerator<AnswerEvent, void, undefined> {
  const { options } = question;
  return streamAnswer((on, signal) => {
    const onToken = (piece: string): void => {
      on.text(piece);
      options.onToken?.(piece);
    };
    return run({ ...question, options: { ...options, onToken, signal } }, on.roi);
  }, options.signal);
}

export async function answer<Format extends JsonFormat | undefined>(
  engine: Engine,
  picture: ImageInput | OpenedPicture,
  text: unknown,
  options: AnswerOptions<Format> = {},
): Promise<AnswerOf<Format>> {
  const question = checkAnswer(text, options);
  return runAnswer(engine, picture, takeForCall(picture, question.options), question) as Promise<AnswerOf<Format>>;
}

export function answerStream<Format extends JsonFormat | undefined>(
  engine: Engine,
  picture: ImageInput | OpenedPicture,
  text: unknown,
  options: AnswerOptions<Format> = {},
): AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined> {
  // the picture is taken now, not when the first event is asked for; what is wrong is told then
  let taken: TakenPicture | OpenedPicture | undefined;
  let fault: unknown;
  try {
    taken = takeForCall(picture, options);
  } catch (error) {
    fault = error;
  }
  return (async function* () {
    const question = checkAnswer(text, options);
    if (!taken) {
      throw fault;
    }
    yield* streamOf(question, (asked, onRoI) => runAnswer(engine, picture, taken, asked, onRoI)) as AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined>;
  })();
}
