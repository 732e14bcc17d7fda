import { setMaxListeners } from "node:events";
import { orAborted } from "../base/abort.js";
import { linkSignals } from "../base/signals.js";

/**
 * Calls `work` for each element, with up to `count` calls running, and yields their results in order, each as soon as it is
 * there: an input that pauses holds back no result. Working ahead of the consumer keeps a decoder and a model busy at the same time; no
 * element is asked for while `count` results wait for the consumer.
 *
 * An input that fails is told behind the results of what it gave before. If the consumer stops early or a call fails, the signal
 * passed to the calls is aborted and they are awaited, so that nothing runs on unnoticed, and the input is closed.
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
  const input = each(elements);
  const running: Promise<R>[] = [];
  let asked: Promise<void> | undefined;
  let end: { error?: unknown } | undefined;
  const begin = ({ done, value }: IteratorResult<T, void>): void => {
    if (done) {
      end = {};
    } else if (!left.signal.aborted) {
      const call = (async () => work(value, signal))();
      call.catch(() => {}); // the consumer gets the error in order, below
      running.push(call);
    }
  };
  // goes on while the consumer is busy with a result
  const fill = (): void => {
    if (!asked && !end && running.length < count && !left.signal.aborted) {
      asked = input
        .next()
        .then(begin, (error: unknown) => void (end = { error }))
        .then(() => {
          asked = undefined;
          fill();
        });
    }
  };
  try {
    for (;;) {
      fill();
      if (running.length > 0) {
        const result = await running[0];
        void running.shift();
        fill();
        yield result;
      } else if (asked) {
        await orAborted(asked, outer);
      } else {
        break;
      }
    }
    if (end && "error" in end) {
      throw end.error;
    }
  } finally {
    left.abort();
    await Promise.allSettled(running);
    const closed = input.return().catch(() => {});
    if (!asked) {
      await closed; // an input that is still being waited for closes when it has come
    }
    release();
  }
}

async function* each<T>(elements: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  yield* elements;
}
