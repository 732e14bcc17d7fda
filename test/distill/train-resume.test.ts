import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoModel, distill, loadModel, type Model } from "../../src/index";
import { type ChildResult, runScript } from "../helpers/child";
import { ROOT } from "../helpers/demo";
import { demoLabelLines, writeLabels } from "../helpers/label-file";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-resume-"));
const at = (name: string): string => join(folder, name);
const { model: modelFile, mmproj } = demoModel();
const labels = writeLabels(at("labels.jsonl"), demoLabelLines().slice(0, 12));
const SETTINGS = { labels, epochs: 2, batchSize: 3, learningRate: 5e-4, heldOut: 0.1, checkpointEvery: 3, workers: 2 };
let model: Model;
let whole: distill.TrainResult;

beforeAll(async () => {
  model = await loadModel({ model: modelFile, mmproj });
  whole = await distill.train(model, { ...SETTINGS, out: at("whole.gguf") });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** What a resumed training came to is what the uninterrupted one did, to the last bit. */
function expectAsWhole(name: string, result: distill.TrainResult): void {
  expect(readFileSync(at(name)).equals(readFileSync(at("whole.gguf")))).toBe(true);
  expect(result.steps).toEqual(whole.steps);
  expect(result.evaluations).toEqual(whole.evaluations);
  expect(existsSync(at(`${name}.checkpoint`))).toBe(false);
}

/** In a process of its own, which may be killed; `more` is code for the options. */
function trainInChild(out: string, more: string): Promise<ChildResult> {
  const options = JSON.stringify({ ...SETTINGS, out });
  return runScript(`const model = await loadModel(); await lib.distill.train(model, { ...${options}, ${more} }); await model.dispose();`);
}

test("a killed training goes on from its checkpoint and comes to the same file", async () => {
  const { signal } = await trainInChild(at("killed.gguf"), 'onProgress: ({ step }) => step === 5 && process.kill(process.pid, "SIGKILL")');
  expect(signal).toBe("SIGKILL");
  expect(existsSync(at("killed.gguf"))).toBe(false);
  writeFileSync(at("killed.gguf.checkpoint.0123abcd.part"), "of a process that was killed while it wrote");
  const result = await distill.train(model, { ...SETTINGS, out: at("killed.gguf") });
  expect(result.resumedFrom).toBe(3);
  expectAsWhole("killed.gguf", result);
  expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
});

test("an aborted training leaves a checkpoint of its last step", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const aborted = distill.train(model, {
    ...SETTINGS,
    out: at("aborted.gguf"),
    signal: controller.signal,
    onProgress: ({ step }) => step === 4 && controller.abort(reason),
  });
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED", name: "AbortError", cause: reason });
  const result = await distill.train(model, { ...SETTINGS, out: at("aborted.gguf"), resume: true });
  expect(result.resumedFrom).toBe(4);
  expectAsWhole("aborted.gguf", result);
});

test("an error of the caller's own callback is what the call rejects with, and the training can go on", async () => {
  const own = new Error("mine");
  const failing = distill.train(model, {
    ...SETTINGS,
    out: at("own.gguf"),
    checkpoint: at("elsewhere"),
    onProgress: ({ step }) => {
      if (step === 2) throw own;
    },
  });
  await expect(failing).rejects.toBe(own);
  const result = await distill.train(model, { ...SETTINGS, out: at("own.gguf"), checkpoint: at("elsewhere") });
  expect(result.resumedFrom).toBe(2);
  expectAsWhole("own.gguf", result);
});

test("a disk that fills up while a checkpoint is written leaves the one before", async () => {
  const { signal } = await trainInChild(at("full.gguf"), 'onProgress: ({ step }) => step === 4 && process.kill(process.pid, "SIGKILL")');
  expect(signal).toBe("SIGKILL");
  // no file of this process may grow beyond 2 MB: its writes fail as on a full disk
  const script = `const lib = require("./lib/index.js"); (async () => { const model = await lib.loadModel();
    await lib.distill.train(model, ${JSON.stringify({ ...SETTINGS, out: at("full.gguf") })}); })().catch(({ code, message }) => console.log(code, message));`;
  const output = await new Promise<string>((resolve) => {
    const child = spawn("sh", ["-c", 'ulimit -f 4000; exec "$0" "$@"', process.execPath, "-e", script], { cwd: ROOT });
    let text = "";
    child.stdout.on("data", (data) => (text += data));
    child.on("close", () => resolve(text));
  });
  expect(output).toMatch(/^IO_ERROR The training checkpoint .*full\.gguf\.checkpoint .*disk full/);
  const result = await distill.train(model, { ...SETTINGS, out: at("full.gguf") });
  expect(result.resumedFrom).toBe(3);
  expectAsWhole("full.gguf", result);
});

test("a disposed model ends its trainings, and an older checkpoint serves", async () => {
  const other = await loadModel({ model: modelFile, mmproj });
  let disposing: Promise<void> | undefined;
  const training = distill.train(other, { ...SETTINGS, out: at("disposed.gguf"), onProgress: ({ step }) => step === 5 && void (disposing ??= other.dispose()) });
  await expect(training).rejects.toMatchObject({ code: "DISPOSED" });
  await disposing;
  await expect(distill.train(other, { ...SETTINGS, out: at("disposed.gguf") })).rejects.toMatchObject({ code: "DISPOSED" });
  const result = await distill.train(model, { ...SETTINGS, out: at("disposed.gguf") });
  expect(result.resumedFrom).toBe(3);
  expectAsWhole("disposed.gguf", result);
});

describe("a checkpoint", () => {
  const checkpoint = at("kept");
  beforeAll(async () => {
    const stop = distill.train(model, { ...SETTINGS, out: at("x.gguf"), checkpoint, onProgress: () => { throw new Error("stop"); } });
    await expect(stop).rejects.toThrow("stop");
  });
  const resume = (more: Partial<distill.TrainOptions>) => distill.train(model, { ...SETTINGS, out: at("x.gguf"), checkpoint, ...more });

  test.each([
    ["learningRate 0.0005, not 0.001", { learningRate: 1e-3 }],
    ["seed 0, not 7", { seed: 7 }],
    ["branchLayer 3, not 2", { branchLayer: 2 }],
    ["batchSize 3, not 5", { batchSize: 5 }],
    ["other labels", { labels: writeLabels(at("fewer.jsonl"), demoLabelLines().slice(1, 12)) }],
  ])("of another training is refused: %s", async (difference, more) => {
    await expect(resume(more)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(`${checkpoint} belongs to a training with ${difference}:`) });
    expect(existsSync(checkpoint)).toBe(true);
  });

  test("that is broken is RPN_INVALID, one that must be there and is not is IO_ERROR, and resume: false starts anew", async () => {
    const broken = at("broken");
    writeFileSync(broken, readFileSync(checkpoint).subarray(0, 500_000));
    await expect(resume({ checkpoint: broken })).rejects.toMatchObject({ code: "RPN_INVALID" });
    await expect(resume({ checkpoint: demoModel().rpn })).rejects.toMatchObject({ code: "RPN_INVALID", message: expect.stringContaining("no checkpoint of training") });
    await expect(resume({ checkpoint: at("nowhere"), resume: true })).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("nowhere") });
    const result = await resume({ checkpoint: broken, resume: false, out: at("anew.gguf") });
    expect(result.resumedFrom).toBe(0);
    expect(readFileSync(at("anew.gguf")).equals(readFileSync(at("whole.gguf")))).toBe(true);
  });
});
