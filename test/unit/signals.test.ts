import { getEventListeners } from "node:events";
import { linkSignals } from "../../src/base/signals";
import { runNode } from "../helpers/child";

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

test("it is aborted with the first of those that it follows, with the same reason", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const { signal } = linkSignals(a.signal, undefined, b.signal);
  expect(signal.aborted).toBe(false);
  const reason = new Error("enough");
  b.abort(reason);
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toBe(reason);
  a.abort(new Error("later"));
  expect(signal.reason).toBe(reason);
});

test("one that was aborted before gives its reason at once", () => {
  const a = new AbortController();
  const { signal, release } = linkSignals(a.signal, AbortSignal.abort("gone"));
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toBe("gone");
  expect(listeners(a.signal)).toBe(0);
  release();
});

test("with nothing to follow it is a signal that is never aborted", () => {
  const { signal, release } = linkSignals(undefined);
  release();
  expect(signal.aborted).toBe(false);
});

test("released, it stays as it is", () => {
  const a = new AbortController();
  const { signal, release } = linkSignals(a.signal);
  release();
  release();
  a.abort();
  expect(signal.aborted).toBe(false);
});

test("any number follow one signal through one listener, which goes with the last of them", () => {
  const a = new AbortController();
  const links = Array.from({ length: 100 }, () => linkSignals(a.signal));
  expect(listeners(a.signal)).toBe(1);
  links.slice(1).forEach(({ release }) => release());
  expect(listeners(a.signal)).toBe(1);
  a.abort("now");
  expect(links.map(({ signal }) => signal.aborted)).toEqual([true, ...Array.from({ length: 99 }, () => false)]);
  expect(listeners(a.signal)).toBe(0);
});

test("calls whose signal is shared are each ended", () => {
  const a = new AbortController();
  const links = Array.from({ length: 50 }, () => linkSignals(a.signal, new AbortController().signal));
  a.abort();
  expect(links.every(({ signal }) => signal.aborted)).toBe(true);
});

test("a signal that lives on keeps nothing of the calls that it was given to", async () => {
  const script = `
    const { linkSignals } = require("./lib/base/signals.js");
    const { signal } = new AbortController();
    const use = (n) => { for (let i = 0; i < n; i++) linkSignals(signal, new AbortController().signal).release(); };
    const settle = async () => { for (let i = 0; i < 4; i++) { global.gc(); await new Promise((resolve) => setTimeout(resolve, 5)); } };
    (async () => {
      use(1000);
      await settle();
      const before = process.memoryUsage().heapUsed;
      use(100000);
      await settle();
      console.log((process.memoryUsage().heapUsed - before) / 100000);
    })();`;
  const { code, stdout, stderr } = await runNode(["--expose-gc", "-e", script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(Number(stdout)).toBeLessThan(4); // bytes a call
});
