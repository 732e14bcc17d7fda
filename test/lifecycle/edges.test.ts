// What fails on the way between JavaScript and a model's thread ends in a rejected promise with a code; the process lives,
// and the next call works. (native/test/test-job-queue.cpp has what fails on the thread itself.)
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runScript } from "../helpers/child";

const clean = { code: 0, signal: null, stderr: "" };

// a property that cannot be set makes the addon's conversion of a result throw
const results: Record<string, [property: string, call: string]> = {
  "of an answer": ["completionTokens", "m.answer(image, q.question, { maxTokens: 2 })"],
  "of a region": ["reused", "m.predictRoI(image, q.question)"],
  "of a session": ["session", "m.open(image)"],
  "of loading": ["longestToken", "loadModel()"],
  "of a predictor's loading": ["baseVocabSize", "RoIPredictor.load(demoModel().rpn)"],
};

test.each(Object.entries(results))("a result that cannot be handed over: that %s", async (_name, [property, call]) => {
  const { stdout, ...ended } = await runScript(`
    const m = await loadModel();
    Object.defineProperty(Object.prototype, "${property}", { configurable: true, set() { throw new Error("mine"); } });
    const error = await ${call}.then(() => "fulfilled", (error) => error);
    delete Object.prototype.${property};
    console.log(error instanceof SdRpnError, error.code, error.message);
    const again = await ${call};
    console.log(again !== undefined);
    console.log((await ask(m)).text === q.answer);
  `);
  expect(ended).toEqual(clean);
  expect(stdout).toBe("true INTERNAL The result could not be handed to JavaScript: mine\ntrue\ntrue\n");
});

if (process.platform === "linux") {
  let folder: string;
  let preload: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sd-rpn-threads-"));
    preload = join(folder, "no-threads.so");
    execFileSync("cc", ["-shared", "-fPIC", join(__dirname, "no-threads.c"), "-o", preload, "-ldl"]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const threads: Record<string, string> = {
    "of a model": "loadModel()",
    "of a predictor": "RoIPredictor.load(demoModel().rpn)",
    "that scales pictures": "m.predictRoI(image, q.question)",
  };

  test.each(Object.entries(threads))("a thread that cannot be made: that %s", async (_name, call) => {
    const { stdout, ...ended } = await runScript(
      `
      const m = await loadModel();
      await require("sharp")(image).raw().toBuffer(); // the decoder's own threads are made here
      process.env.NO_THREADS = "1";
      const error = await ${call}.then(() => "fulfilled", (error) => error);
      delete process.env.NO_THREADS;
      console.log(error instanceof SdRpnError, error.code);
      const again = await ${call};
      console.log(again !== undefined);
      console.log((await ask(m)).text === q.answer);
    `,
      { env: { LD_PRELOAD: preload } },
    );
    expect(ended).toEqual(clean);
    expect(stdout).toBe("true OUT_OF_MEMORY\ntrue\ntrue\n");
  });
}
