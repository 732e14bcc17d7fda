import { CallQueue } from "../../src/base/call-queue";

/** Work that ends when it is told to. */
function job(): { work: () => Promise<string>; end: (result: string) => void; fail: (error: Error) => void; begun: () => boolean } {
  let begun = false;
  let end!: (result: string) => void;
  let fail!: (error: Error) => void;
  const promise = new Promise<string>((resolve, reject) => ([end, fail] = [resolve, reject]));
  return { work: () => ((begun = true), promise), end, fail, begun: () => begun };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("so many at once, the others in their order, one for each that ends", async () => {
  const queue = new CallQueue(2, 10);
  const jobs = Array.from({ length: 5 }, job);
  const results = jobs.map(({ work }) => queue.run(undefined, work));
  await settle();
  expect(jobs.map(({ begun }) => begun())).toEqual([true, true, false, false, false]);
  jobs[1].end("b");
  await settle();
  expect(jobs.map(({ begun }) => begun())).toEqual([true, true, true, false, false]);
  jobs[0].fail(new Error("a"));
  await expect(results[0]).rejects.toThrow("a");
  await settle();
  expect(jobs.map(({ begun }) => begun())).toEqual([true, true, true, true, false]);
  jobs.forEach(({ end }, i) => end(String(i)));
  expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled", "fulfilled", "fulfilled"]);
});

test("work that throws at once gives its place back", async () => {
  const queue = new CallQueue(1, 0);
  for (let i = 0; i < 3; i++) {
    await expect(queue.run(undefined, () => { throw new Error("mine"); })).rejects.toThrow("mine");
  }
  expect(await queue.run(undefined, async () => "done")).toBe("done");
});

test("one too many is QUEUE_FULL, and there is room again when one has gone", async () => {
  const queue = new CallQueue(1, 1);
  const [first, second] = [job(), job()];
  const results = [queue.run(undefined, first.work), queue.run(undefined, second.work)];
  await expect(queue.run(undefined, async () => "third")).rejects.toMatchObject({ code: "QUEUE_FULL", message: /maxQueue/ });
  first.end("first");
  await results[0];
  const fourth = queue.run(undefined, async () => "fourth");
  second.end("second");
  expect(await Promise.all([...results, fourth])).toEqual(["first", "second", "fourth"]);
});

test("an abort while waiting rejects at once with the reason, and nothing runs", async () => {
  const queue = new CallQueue(1, 10);
  const [first, second, third] = [job(), job(), job()];
  const controller = new AbortController();
  const reason = new Error("enough");
  const results = [queue.run(undefined, first.work), queue.run(controller.signal, second.work), queue.run(controller.signal, third.work)];
  const ended = Promise.allSettled(results.slice(1));
  controller.abort(reason);
  for (const result of await ended) {
    expect(result).toMatchObject({ status: "rejected", reason: { code: "ABORTED", name: "AbortError", cause: reason } });
  }
  await expect(queue.run(controller.signal, async () => "late")).rejects.toMatchObject({ code: "ABORTED" });
  first.end("first");
  expect(await results[0]).toBe("first");
  expect(await queue.run(undefined, async () => "next")).toBe("next");
  expect([second.begun(), third.begun()]).toEqual([false, false]);
});

test("clients take turns, each with its own calls in their order; an aborted one loses its place only", async () => {
  const queue = new CallQueue(1, 100);
  const order: string[] = [];
  const controller = new AbortController();
  const call = (client: string, name: string, signal?: AbortSignal): Promise<unknown> => queue.run(signal, async () => order.push(client + name), client);
  const crowd = Array.from({ length: 50 }, (_, i) => call("a", String(i)));
  const others = [call("b", "0"), call("c", "0"), call("b", "1", controller.signal), call("b", "2")];
  controller.abort();
  await expect(others[2]).rejects.toMatchObject({ code: "ABORTED" });
  await Promise.all([...crowd, others[0], others[1], others[3]]);
  expect(order.slice(0, 7)).toEqual(["a0", "a1", "b0", "c0", "a2", "b2", "a3"]);
  expect(order.length).toBe(53);
  expect(order.filter((name) => name.startsWith("a"))).toEqual(Array.from({ length: 50 }, (_, i) => `a${i}`));
});
