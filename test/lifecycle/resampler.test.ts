import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../helpers/demo.js";

const PICTURE = JSON.stringify(join(ROOT, "lib", "image", "picture.js"));

/**
 * What the scripts share: `begin()` scales a first picture, so that the native thread is there already, and then starts to
 * scale one large enough to keep it busy for seconds. The large picture is younger than the thread, and its memory is
 * freed by the end of the environment.
 */
const PRELUDE = `
  const { openPicture } = require(${PICTURE});
  const blank = (side) => openPicture({ data: new Uint8Array(side * side * 3), width: side, height: side, channels: 3 });
  async function begin() {
    await (await blank(8)).view({ width: 8, height: 8 }, [0, 0, 0]);
    const large = await blank(6000);
    const settled = { value: false };
    const done = Promise.all([1, 2, 3].map(() => large.view({ width: 8192, height: 8192 }, [0, 0, 0]))).finally(() => { settled.value = true; });
    return { done, settled };
  }
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

function run(script: string): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", PRELUDE + script], { encoding: "utf8", timeout: 50_000 });
  return { status, signal, stdout, stderr };
}

const clean = (stdout: string) => ({ status: 0, signal: null, stdout, stderr: "" });

describe("a program that ends while a picture is scaled", () => {
  it.each([0, 50])("by process.exit, %i ms after the start", (ms) => {
    const script = `
      begin().then(async ({ settled }) => {
        if (${ms}) await sleep(${ms});
        console.log("busy", !settled.value);
        process.exit(0);
      });`;
    expect(run(script)).toEqual(clean("busy true\n"));
  });

  it("by nothing else to do: not before the picture is there", () => {
    const script = `blank(4000).then((p) => p.view({ width: 336, height: 336 }, [0, 0, 0])).then((view) => console.log(view.length));`;
    expect(run(script)).toEqual(clean(`${336 * 336 * 3}\n`));
  });

  it("by an uncaught exception: with the exception's code, not a signal", () => {
    const { status, signal, stderr } = run(`begin().then(() => setTimeout(() => { throw new Error("mine"); }, 20));`);
    expect({ status, signal }).toEqual({ status: 1, signal: null });
    expect(stderr).toContain("Error: mine");
  });
});

describe("worker_threads", () => {
  it("end cleanly while a picture is scaled, and leave the main thread's resampler alone", () => {
    const script = `
      const { Worker } = require("node:worker_threads");
      const source = ${JSON.stringify(PRELUDE)} + 'begin().then(() => require("node:worker_threads").parentPort.postMessage("started"));';
      (async () => {
        const mine = await blank(100);
        const before = await mine.view({ width: 14, height: 14 }, [1, 2, 3]);
        for (const ms of [0, 50]) {
          const worker = new Worker(source, { eval: true });
          await new Promise((resolve) => worker.once("message", resolve));
          await sleep(ms);
          console.log("worker", await worker.terminate());
        }
        console.log("same", before.equals(await mine.view({ width: 14, height: 14 }, [1, 2, 3])));
      })();`;
    expect(run(script)).toEqual(clean("worker 1\nworker 1\nsame true\n"));
  });
});
