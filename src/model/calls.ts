import { answerQuestion } from "../answer/answer-question.js";
import { streamAnswer } from "../answer/answer-stream.js";
import type { OnRoI } from "../answer/several.js";
import { type AnswerOptions, type CheckedAnswerOptions, parseAnswerOptions, type PredictOptions, predictSchema } from "../answer/options.js";
import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import { predictRegion } from "../answer/predict-region.js";
import { SdRpnError } from "../base/errors.js";
import { askedSchema } from "../base/schemas.js";
import { linkSignals } from "../base/signals.js";
import type { Answer, AnswerEvent, ImageInput, ImageOptions, RoI } from "../base/types.js";
import { parseOptions } from "../base/validate.js";
import type { Engine } from "../engine/engine.js";
import { type Given, OpenedPicture, OpenedPictures, type Subject, takeSubject } from "../engine/opened-picture.js";
import { takePicture } from "../image/taken-picture.js";

// The calls that models and sessions share. A model passes the image or images given by the caller, a session what it has opened; the
// functions here accept either.

/** What a call is about: what its caller gives, or what a session has opened. */
type Owned = Given | OpenedPicture | OpenedPictures;

/** The pictures of a call, which do not change any more. Those of a session were taken when it was opened. */
function takeForCall(given: Owned, options: (ImageOptions & { signal?: AbortSignal }) | null | undefined): Subject {
  return given instanceof OpenedPicture || given instanceof OpenedPictures ? given : takeSubject(given, options ?? {}, options?.signal);
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
  given: Owned,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  engine.checkUsable(given);
  const closing = given instanceof OpenedPicture || given instanceof OpenedPictures ? given.closing : undefined;
  const { signal: either, release } = linkSignals(signal, closing);
  const start = async (): Promise<T> => {
    engine.checkUsable(given);
    return work(either);
  };
  try {
    return await engine.calls.run(either, start, given);
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
  const taken = picture instanceof OpenedPicture ? picture : takePicture(picture, checked);
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

/** An answer, when its turn has come, about `taken`, which was taken of `given`; `onRoI` gets the region before it. */
export function runAnswer(engine: Engine, given: Owned, taken: Subject, { text, options }: CheckedQuestion, onRoI?: OnRoI): Promise<Answer> {
  return inTurn(engine, given, options.signal, (signal) => answerQuestion(engine, taken, text, { ...options, signal }, onRoI));
}

/** The answer to a checked question as a stream; `run` gives the whole answer. */
export function streamOf(question: CheckedQuestion, run: (question: CheckedQuestion, onRoI: OnRoI) => Promise<Answer>): AsyncGenerator<AnswerEvent, void, undefined> {
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
  given: Owned,
  text: unknown,
  options: AnswerOptions<Format> = {},
): Promise<AnswerOf<Format>> {
  const question = checkAnswer(text, options);
  return runAnswer(engine, given, takeForCall(given, question.options), question) as Promise<AnswerOf<Format>>;
}

export function answerStream<Format extends JsonFormat | undefined>(
  engine: Engine,
  given: Owned,
  text: unknown,
  options: AnswerOptions<Format> = {},
): AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined> {
  // the picture is taken now, not when the first event is asked for; what is wrong is told then
  let taken: Subject | undefined;
  let fault: unknown;
  try {
    taken = takeForCall(given, options);
  } catch (error) {
    fault = error;
  }
  return (async function* () {
    const question = checkAnswer(text, options);
    if (!taken) {
      throw fault;
    }
    yield* streamOf(question, (asked, onRoI) => runAnswer(engine, given, taken, asked, onRoI)) as AsyncGenerator<AnswerEvent<AnswerOf<Format>>, void, undefined>;
  })();
}
