import { isAbsolute } from "node:path";
import { existsSync } from "node:fs";
import { demoModel, loadModel } from "../../src/index";

test("demoModel gives three absolute paths that exist, and nothing else", () => {
  const files = demoModel();
  expect(Object.keys(files).sort()).toEqual(["mmproj", "model", "rpn"]);
  for (const path of Object.values(files)) {
    expect(isAbsolute(path) && existsSync(path)).toBe(true);
  }
});

test("without paths the demo model is loaded, and info says what it is", async () => {
  const progress: number[] = [];
  const model = await loadModel({ threads: 2, onProgress: (f) => progress.push(f) });
  expect(model.info).toMatchObject({
    architecture: "llama",
    layers: 6,
    embeddingLength: 192,
    contextSize: 1024,
    grid: { width: 12, height: 12 },
    imageTokens: 144,
    view: { width: 168, height: 168 },
    imageSize: 168,
    threads: 2,
    backend: "CPU",
    rpn: { branchLayer: 3, blockCount: 3, threshold: expect.closeTo(0.15, 6) },
    versions: { llama: "0.5.0" },
  });
  expect(Object.isFrozen(model.info)).toBe(true);
  expect(progress.length).toBeGreaterThan(3);
  expect(progress[progress.length - 1]).toBe(1);
  expect([...progress].sort((a, b) => a - b)).toEqual(progress);
  await model.dispose();
});

test("log receives llama.cpp's messages, and only those of its own model", async () => {
  const lines: string[] = [];
  const model = await loadModel({ log: (level, text) => lines.push(`${level} ${text}`) });
  expect(lines.some((line) => line.includes("llama_model_loader"))).toBe(true);
  const before = lines.length;
  const quiet = await loadModel();
  expect(lines.length).toBe(before);
  await Promise.all([model.dispose(), quiet.dispose()]);
});

test.each([
  [{ treshold: 1 }, /Unknown option treshold/],
  [{ gpuLayer: 1 }, /did you mean gpuLayers\?/],
  [{ threads: 0 }, /Expected integer between 1 and 512 for threads but received 0 of type number/],
  [{ contextSize: "4096" }, /for contextSize but received 4096 of type string/],
  [{ log: true }, /Expected function for log but received true of type boolean/],
  [{ mmproj: "x.gguf" }, /for model but received undefined/],
  [{ rpn: "x.gguf" }, /for model but received undefined/],
])("bad options %j are INVALID_ARGUMENT", async (options, message) => {
  await expect(loadModel(options as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
});

test("a context larger than the trained one is refused before the weights are loaded, with both numbers", async () => {
  const progress: number[] = [];
  await expect(loadModel({ contextSize: 1025, onProgress: (f) => progress.push(f) })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: "Expected a contextSize of at most 1024 tokens, since the model was trained with as many, but received 1025",
  });
  expect(progress).toEqual([]);
});

test("a GPU that is not there is BACKEND_UNAVAILABLE", async () => {
  const probe = await loadModel();
  const { backend } = probe.info;
  await probe.dispose();
  if (backend === "CPU") {
    await expect(loadModel({ gpuLayers: 4 })).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
  } else {
    const model = await loadModel({ gpuLayers: 4 });
    await model.dispose();
  }
});

test("an aborted signal rejects with ABORTED and its reason, before and during loading", async () => {
  const reason = new Error("enough");
  await expect(loadModel({ signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ name: "AbortError", code: "ABORTED", cause: reason });
  const controller = new AbortController();
  const loading = loadModel({ signal: controller.signal, onProgress: () => controller.abort(reason) });
  await expect(loading).rejects.toMatchObject({ name: "AbortError", code: "ABORTED", cause: reason });
  // at the last report the work is done; a program that aborted would not dispose a model that it gets all the same
  const late = new AbortController();
  const loaded = loadModel({ signal: late.signal, onProgress: (f) => f === 1 && late.abort(reason) });
  await expect(loaded).rejects.toMatchObject({ name: "AbortError", code: "ABORTED", cause: reason });
});

test("an error thrown by onProgress is what loading rejects with", async () => {
  const mine = new Error("mine");
  await expect(loadModel({ onProgress: () => { throw mine; } })).rejects.toBe(mine);
});
