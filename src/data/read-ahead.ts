import { setMaxListeners } from "node:events";
import { linkSignals } from "../base/signals.js";

/**
 * Calls `work` for each element, with up to `count` calls running, and yields their results in order. Working ahead of
 * the consumer keeps a decoder and a model busy at the same time. If the consumer stops early or a call fails, the signal
 * passed to the calls is aborted and they are awaited, so that nothing runs on unnoticed.
 */
export async function* ahead<T, R>(
  elements: Iterable<T> | AsyncIterable<T>,
  count: number,
  work: (element: T, signal: AbortSignal) => Promise<R>,
  outer?: AbortSignal,
): AsyncGenerator<R, void, undefined> {
  const left = new AbortController();
  const { signal, release } = linkSignals(outer, left.signal);
  setMaxListeners(0, signal); // one listener per running call: not a leak
  const running: Promise<R>[] = [];
  try {
    for await (const element of elements) {
      const call = work(element, signal);
      call.catch(() => {}); // the consumer gets the error in order, below
      running.push(call);
      if (running.length >= count) {
        yield await (running.shift() as Promise<R>);
      }
    }
    while (running.length > 0) {
      yield await (running.shift() as Promise<R>);
    }
  } finally {
    left.abort();
    await Promise.allSettled(running);
    release();
  }
}
