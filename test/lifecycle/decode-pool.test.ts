// Large pictures that are decoded at the same time leave libuv's pool to the host's file system calls.
import { join } from "node:path";
import { runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";

const SCRIPT = `
  const { stat } = require("node:fs/promises");
  const sharp = require("sharp");
  const { openPicture } = require(${JSON.stringify(join(ROOT, "lib", "image", "picture.js"))});
  const { renderOverlay } = require(${JSON.stringify(join(ROOT, "lib", "index.js"))});

  /** Six times the work at once; meanwhile the jobs of sharp are counted and fs.stat is timed. */
  async function measure(work) {
    let done = false, most = 0;
    let waited = 0;
    const count = setInterval(() => { most = Math.max(most, sharp.counters().queue + sharp.counters().process); }, 2);
    const start = performance.now();
    const all = Promise.all([1, 2, 3, 4, 5, 6].map(work)).then(() => { done = true; });
    while (!done) {
      const before = performance.now();
      await stat(".");
      waited += performance.now() - before;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await all;
    clearInterval(count);
    return { waiting: waited / (performance.now() - start), most };
  }

  (async () => {
    const png = await sharp({ create: { width: 6000, height: 6000, channels: 3, background: "#456" } }).png({ compressionLevel: 1 }).toBuffer();
    const raw = { data: new Uint8Array(1200 * 1200 * 3), width: 1200, height: 1200, channels: 3 };
    const roi = { map: { width: 2, height: 2, data: [0, 0, 0, 1] }, boxes: [], region: { kind: "none", crop: null, keep: null } };
    const opened = await measure(async () => { await openPicture(png); });
    const drawn = await measure(async () => { await renderOverlay(raw, roi); });
    console.log(JSON.stringify({ opened, drawn }));
  })();`;

interface Measured {
  /** share of the time in which fs.stat had not answered */
  waiting: number;
  /** jobs of sharp that held or awaited a thread of the pool at the same time */
  most: number;
}

test("six at a time: two of the four threads stay free, and fs.stat does not wait for a decode", async () => {
  const { code, stdout, stderr } = await runNode(["-e", SCRIPT], { env: { UV_THREADPOOL_SIZE: "4" }, timeout: 100_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { opened, drawn } = JSON.parse(stdout) as Record<"opened" | "drawn", Measured>;
  for (const { most } of [opened, drawn]) {
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2);
  }
  // where it waits for a thread, it waits for as long as the first four pictures take
  expect(opened.waiting).toBeLessThan(0.3);
}, 120_000);
