import { setTimeout as sleep } from "node:timers/promises";
import { ahead } from "../../src/data/read-ahead";

/** Numbers from 0 on, counting how many were asked for and whether the source was closed. */
function source(count: number, failAt = Infinity) {
  const seen = { given: 0, closed: false };
  async function* numbers(): AsyncGenerator<number, void, undefined> {
    try {
      for (; seen.given < count; seen.given++) {
        if (seen.given === failAt) throw new Error("the source broke");
        yield seen.given;
      }
    } finally {
      seen.closed = true;
    }
  }
  return { seen, numbers: numbers() };
}

const collect = async <T>(results: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const result of results) all.push(result);
  return all;
};

test("results come in the order of the input, whatever finishes first, of arrays and of generators", async () => {
  const work = async (n: number): Promise<number> => (await sleep((7 - n) % 4 === 0 ? 20 : 1), n * n);
  const squares = [0, 1, 4, 9, 16, 25, 36, 49];
  expect(await collect(ahead(source(8).numbers, 3, work))).toEqual(squares);
  expect(await collect(ahead([0, 1, 2, 3, 4, 5, 6, 7], 3, work))).toEqual(squares);
  expect(await collect(ahead([], 3, work))).toEqual([]);
});

test("as many calls run as were asked for, and no more elements are taken than that while the consumer waits", async () => {
  const { seen, numbers } = source(20);
  let running = 0;
  let most = 0;
  const results = ahead(numbers, 4, async (n) => {
    most = Math.max(most, ++running);
    await sleep(1);
    running--;
    return n;
  });
  for (let n = 0; n < 20; n++) {
    expect((await results.next()).value).toBe(n);
    await sleep(8); // a slow consumer: all that may run has ended by now
    expect([n, seen.given]).toEqual([n, Math.min(20, n + 5 - 1)]); // n + 1 results are out and 4 wait; the source counts an element when the one behind it is asked for
  }
  expect((await results.next()).done).toBe(true);
  expect(most).toBe(4);
});

test("a pause of the input holds back no result", async () => {
  let release = (): void => {};
  async function* slow(): AsyncGenerator<number, void, undefined> {
    yield 1;
    await new Promise<void>((resolve) => (release = resolve));
    yield 2;
  }
  const results = ahead(slow(), 4, async (n) => n);
  expect((await results.next()).value).toBe(1);
  release();
  expect((await results.next()).value).toBe(2);
  expect((await results.next()).done).toBe(true);
});

test("an input that fails is told behind the results of what it gave", async () => {
  const results = ahead(source(9, 3).numbers, 8, async (n) => (await sleep(10), n));
  const got: number[] = [];
  await expect((async () => {
    for await (const n of results) got.push(n);
  })()).rejects.toThrow("the source broke");
  expect(got).toEqual([0, 1, 2]);
});

test("a call that fails, and a consumer that leaves, end the other calls and close the input", async () => {
  const aborted: number[] = [];
  const work = (n: number, signal: AbortSignal): Promise<number> =>
    n === 1 ? sleep(5).then(() => Promise.reject(new Error("call 1"))) : n === 0 ? Promise.resolve(0) : new Promise((_, reject) => signal.addEventListener("abort", () => (aborted.push(n), reject(new Error("aborted")))));
  const failing = source(9);
  await expect(collect(ahead(failing.numbers, 3, work))).rejects.toThrow("call 1");
  expect(failing.seen.closed).toBe(true);
  expect(aborted).toContain(2);
  aborted.length = 0;
  const left = source(9);
  for await (const n of ahead(left.numbers, 3, (m, signal) => work(m === 1 ? 5 : m, signal))) {
    expect(n).toBe(0);
    break;
  }
  expect(aborted).toContain(5);
  expect(left.seen.closed).toBe(true);
});

test("an abort ends the wait for an input that never comes", async () => {
  const controller = new AbortController();
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 10);
  await expect(collect(ahead(never, 3, async (n) => n, controller.signal))).rejects.toMatchObject({ code: "ABORTED", cause: reason });
});
