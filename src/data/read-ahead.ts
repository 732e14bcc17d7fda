import { setMaxListeners } from "node:events";

/**
 * Calls `work` for each element, with up to `count` calls under way, and yields their results in order. The work ahead of
 * the consumer is what keeps a decoder and a model busy at the same time. Where the consumer leaves or a call fails, the
 * signal that the calls were given is aborted and they are waited for, so that nothing goes on behind the caller's back.
 */
export async function* ahead<T, R>(
  elements: Iterable<T> | AsyncIterable<T>,
  count: number,
  work: (element: T, signal: AbortSignal) => Promise<R>,
  outer?: AbortSignal,
): AsyncGenerator<R, void, undefined> {
  const left = new AbortController();
  const signal = outer ? AbortSignal.any([outer, left.signal]) : left.signal;
  setMaxListeners(0, signal); // as many as there are calls under way, which is no leak
  const running: Promise<R>[] = [];
  try {
    for await (const element of elements) {
      const call = work(element, signal);
      call.catch(() => {}); // told to the consumer when its turn comes
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
  }
}
