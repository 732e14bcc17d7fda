import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoModel, distill, loadModel, type Model } from "../../src/index";
import { demoLabelLines, LABEL_HEADER, writeLabels } from "../helpers/label-file";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-train-errors-"));
const at = (name: string): string => join(folder, name);
const { model: modelFile, mmproj } = demoModel();
const lines = demoLabelLines().slice(0, 8);
const labels = writeLabels(at("labels.jsonl"), lines);
const out = at("rpn.gguf");
let model: Model;

beforeAll(async () => {
  model = await loadModel({ model: modelFile, mmproj });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const train = (more: object) => distill.train(model, { labels, out, batchSize: 8, heldOut: 0, ...more });

test.each([
  [{ branchLayer: 4 }, "Expected branchLayer of at most 3 for a model of 6 layers, since the network starts as layers branchLayer to branchLayer + blockCount - 1, but received branchLayer 4 and blockCount 3"],
  [{ branchLayer: 0 }, "Expected integer between 1 and 4096 for branchLayer but received 0 of type number"],
  [{ blockCount: 6 }, "Expected blockCount of at most 5 for a model of 6 layers"],
  [{ learningrate: 1 }, "Unknown option learningrate, did you mean learningRate?"],
  [{ type: "q5_0" }, "Expected f32, f16, q8_0 or q4_k for type but received q5_0 of type string"],
  [{ labels: [] }, "Expected path of a label file or array of paths for labels but received Array of length 0"],
  [{ heldOut: 1 }, "Expected number of at least 0 and below 1 for heldOut but received 1 of type number"],
])("options are checked: %j", async (more, message) => {
  await expect(train(more)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
});

test("what is not a model is refused", async () => {
  await expect(distill.train({} as Model, { labels, out })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

test.each([
  ["labels of another model", () => writeLabels(at("other.jsonl"), lines, { ...LABEL_HEADER, model: { ...LABEL_HEADER.model, layers: 32 } }), 1, /layers 32 instead of 6/],
  ["a broken line", () => writeLabels(at("broken.jsonl"), [lines[0], '{"id": "x", "image": 3']), 3, /broken\.jsonl:3:/],
  ["labels of another grid", () => writeLabels(at("grid.jsonl"), [lines[0], { ...lines[1], labels: "101" }]), 3, /Expected 144 labels.* but received 3/],
  ["no usable labels", () => writeLabels(at("none.jsonl"), lines.map((line) => ({ ...line, labels: null, kept: false }))), 1, /at least one pair with a labelled cell: all \d+ failed or have none/],
  ["a file without a header", () => writeFile(at("plain.jsonl"), JSON.stringify(lines[0])), 1, /header of a label file/],
])("%s is DATA_INVALID with file and line", async (_, file, line, message) => {
  const labels = file();
  await expect(train({ labels })).rejects.toMatchObject({ code: "DATA_INVALID", file: labels, line, message: expect.stringMatching(message) });
});

test("a label file that is not there is IO_ERROR", async () => {
  await expect(train({ labels: at("nowhere.jsonl") })).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("nowhere.jsonl") });
});

test("a picture that is missing or damaged, and a question that is too long, are told with file and line", async () => {
  const missing = writeLabels(at("missing.jsonl"), [lines[0], { ...lines[1], image: "nowhere.jpg" }]);
  await expect(train({ labels: missing })).rejects.toMatchObject({ code: "IMAGE_INVALID", file: missing, line: 3, message: expect.stringContaining("nowhere.jpg") });
  await expect(train({ labels: missing, images: folder })).rejects.toMatchObject({ code: "IMAGE_INVALID", message: expect.stringContaining("pass the folder of the pictures as images") });
  writeFile(at("damaged.jpg"), "no picture");
  const damaged = writeLabels(at("damaged.jsonl"), [{ ...lines[0], image: at("damaged.jpg") }]);
  await expect(train({ labels: damaged })).rejects.toMatchObject({ code: "IMAGE_INVALID", file: damaged, line: 2 });
  const long = writeLabels(at("long.jsonl"), [{ ...lines[0], question: "What ".repeat(5000) }]);
  await expect(train({ labels: long })).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW", file: long, line: 2 });
});

test("a folder that is not there is told before any work", async () => {
  await expect(train({ out: at("no/rpn.gguf") })).rejects.toMatchObject({ code: "IO_ERROR" });
  await expect(train({ checkpoint: at("no/checkpoint") })).rejects.toMatchObject({ code: "IO_ERROR" });
});

test("a folder in the output's place is told before any work", async () => {
  mkdirSync(at("folder.gguf"));
  const onProgress = jest.fn();
  await expect(train({ out: at("folder.gguf"), onProgress })).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("it is a folder, not a regular file") });
  expect(onProgress).not.toHaveBeenCalled();
});

test("one that comes there meanwhile is IO_ERROR too, and the training can be saved elsewhere", async () => {
  const checkpoint = at("taken.checkpoint");
  const onProgress = (): void => void mkdirSync(at("taken.gguf"), { recursive: true });
  await expect(train({ out: at("taken.gguf"), checkpoint, onProgress })).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("it is a folder, not a regular file") });
  const result = await train({ checkpoint });
  expect(result.resumedFrom).toBe(result.steps.length);
});

test("weights that f16 cannot hold are refused, and can be saved as f32 without training again", async () => {
  const huge = { epochs: 2, batchSize: lines.length, learningRate: 1e5, maxGradNorm: 0, out: at("huge.gguf") };
  await expect(train(huge)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/at most 65504 for the type f16 .* save as q8_0 or f32/) });
  expect((await train({ ...huge, type: "f32" })).resumedFrom).toBe(2);
});

test("a training that diverges says so, and leaves the checkpoint before", async () => {
  const wild = { epochs: 20, learningRate: 1e18, maxGradNorm: 0, warmup: 0, checkpointEvery: 1, out: at("wild.gguf") };
  await expect(train(wild)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/Training diverged at step \d+ .* use a lower learning rate/) });
  expect(readdirSync(folder)).toContain("wild.gguf.checkpoint");
});

test("after all of that the model trains", async () => {
  await expect(train({ out: at("fine.gguf") })).resolves.toMatchObject({ resumedFrom: 0 });
});

function writeFile(file: string, text: string): string {
  writeFileSync(file, text);
  return file;
}
