import { availableParallelism } from "node:os";
import { runSharp, sharpJobsAtOnce } from "../../src/image/sharp-queue";

test.each([
  [undefined, 8, 2], // libuv's four threads
  [undefined, 1, 1],
  ["16", 4, 4],
  ["16", 64, 14],
  ["3", 8, 1],
  ["2", 8, 1],
  ["1", 8, 1],
  ["0", 8, 1],
  ["", 8, 1],
  ["many", 8, 1],
  ["6 threads", 8, 4],
])("a pool of %s threads on %i cores: %i at a time", (poolSize, cores, expected) => {
  expect(sharpJobsAtOnce(poolSize, cores)).toBe(expected);
});

/** Work that ends when it is told to. */
function work(name: string, started: string[]): { run: () => Promise<string>; end: () => void } {
  let end = (): void => {};
  const ended = new Promise<string>((resolve) => (end = () => resolve(name)));
  return { run: () => (started.push(name), ended), end };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("first come, first served; what waits is aborted at once, what runs is not", async () => {
  const started: string[] = [];
  const works = Array.from({ length: 40 }, (_, i) => work(String(i), started));
  const controller = new AbortController();
  const results = works.map(({ run }, i) => runSharp(run, i === 0 || i === 38 ? controller.signal : undefined));
  const rejected = expect(results[38]).rejects.toMatchObject({ code: "ABORTED", name: "AbortError", cause: "why" });
  await settle();
  const atOnce = started.length;
  expect(atOnce).toBe(sharpJobsAtOnce(process.env.UV_THREADPOOL_SIZE, availableParallelism()));
  controller.abort("why");
  await rejected;
  expect(started).toHaveLength(atOnce);
  for (const [i, { end }] of works.entries()) {
    if (i === 38) {
      continue;
    }
    end();
    expect(await results[i]).toBe(String(i));
  }
  expect(started).toEqual(works.map((_, i) => String(i)).filter((name) => name !== "38"));
});

test("aborted before: ABORTED, and it does not begin", async () => {
  const started: string[] = [];
  await expect(runSharp(work("never", started).run, AbortSignal.abort("why"))).rejects.toMatchObject({ code: "ABORTED", cause: "why" });
  expect(started).toEqual([]);
});

test("work that fails leaves its place to the next", async () => {
  const fails = Array.from({ length: 40 }, () => runSharp(() => Promise.reject(new Error("no"))));
  expect((await Promise.allSettled(fails)).every(({ status }) => status === "rejected")).toBe(true);
  expect(await runSharp(async () => "next")).toBe("next");
});
