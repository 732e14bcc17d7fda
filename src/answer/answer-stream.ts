import type { Answer, AnswerEvent, RoI } from "../base/types.js";
import { linkSignals } from "../base/signals.js";

/** Starts an answer, with callbacks for its events and a signal that aborts it. */
export type StartAnswer<Whole extends Answer> = (on: { roi: (roi: RoI, picture?: number) => void; text: (text: string) => void }, signal: AbortSignal) => Promise<Whole>;

/**
 * An answer as a stream of events. Work begins with the first `next()`; leaving the loop early ends it.
 *
 * @throws {SdRpnError} what the answer would have rejected with, after the events before it
 */
export async function* streamAnswer<Whole extends Answer>(
  start: StartAnswer<Whole>,
  signal?: AbortSignal,
): AsyncGenerator<AnswerEvent<Whole>, void, undefined> {
  const left = new AbortController();
  const events: AnswerEvent<Whole>[] = [];
  let wake = (): void => {};
  const push = (event: AnswerEvent<Whole>): void => {
    events.push(event);
    wake();
  };

  const either = linkSignals(signal, left.signal);
  let ended = false;
  let failure: { error: unknown } | undefined;
  const answer = start(
    { roi: (roi, picture) => push({ type: "roi", roi, ...(picture !== undefined && { picture }) }), text: (text) => push({ type: "text", text }) },
    either.signal,
  );
  const end = answer.then(
    (value) => push({ type: "done", answer: value }),
    (error: unknown) => {
      failure = { error };
    },
  ).finally(() => {
    ended = true;
    either.release();
    wake();
  });

  try {
    for (;;) {
      while (events.length > 0) {
        yield events.shift()!;
      }
      if (ended) {
        break;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (events.length > 0 || ended) resolve();
      });
    }
    if (failure) {
      throw failure.error;
    }
  } finally {
    left.abort();
    await end; // nothing runs on after the caller has left the loop
  }
}
