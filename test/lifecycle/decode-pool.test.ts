// Large pictures that are decoded at the same time leave libuv's pool to the host's file system calls.
import { join } from "node:path";
import { runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";

const SCRIPT = `
  const { stat } = require("node:fs/promises");
  const sharp = require("sharp");
  const { openPicture } = require(${JSON.stringify(join(ROOT, "lib", "image", "picture.js"))});
  const { renderOverlay } = require(${JSON.stringify(join(ROOT, "lib", "index.js"))});

  /** Six times the work at once; meanwhile the jobs of sharp are counted, and calls of fs.stat one after the other. */
  async function measure(work) {
    let first = false, most = 0, stats = 0;
    const count = setInterval(() => { most = Math.max(most, sharp.counters().queue + sharp.counters().process); }, 2);
    const all = Promise.all([1, 2, 3, 4, 5, 6].map(() => work().then(() => { first = true; })));
    while (!first) {
      await stat(".");
      stats++;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await all;
    clearInterval(count);
    return { stats, most };
  }

  (async () => {
    const png = await sharp({ create: { width: 8000, height: 8000, channels: 3, background: "#456" } }).png({ compressionLevel: 1 }).toBuffer();
    const raw = { data: new Uint8Array(1200 * 1200 * 3), width: 1200, height: 1200, channels: 3 };
    const roi = { map: { width: 2, height: 2, data: [0, 0, 0, 1] }, boxes: [], region: { kind: "none", crop: null, keep: null } };
    const opened = await measure(async () => { await openPicture(png); });
    const drawn = await measure(async () => { await renderOverlay(raw, roi); });
    console.log(JSON.stringify({ opened, drawn }));
  })();`;

interface Measured {
  /** answers of fs.stat before the first of the six was done */
  stats: number;
  /** jobs of sharp that held or awaited a thread of the pool at the same time */
  most: number;
}

test("six at a time: two of the four threads stay free, and fs.stat does not wait for a decode", async () => {
  const { code, stdout, stderr } = await runNode(["-e", SCRIPT], { env: { UV_THREADPOOL_SIZE: "4" }, timeout: 100_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { opened, drawn } = JSON.parse(stdout) as Record<"opened" | "drawn", Measured>;
  for (const { most, stats } of [opened, drawn]) {
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2);
    expect(stats).toBeGreaterThan(20); // 2 to 4 where all threads are taken
  }
}, 120_000);
