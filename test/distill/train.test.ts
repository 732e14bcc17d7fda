import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoModel, distill, loadModel, type Model } from "../../src/index";
import { trainCurve } from "../../src/distill/train-curve";
import { demoQuestions } from "../helpers/demo";
import { demoLabelLines, writeLabels } from "../helpers/label-file";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-train-"));
const at = (name: string): string => join(folder, name);
const { model: modelFile, mmproj } = demoModel();
const labels = writeLabels(at("labels.jsonl"), demoLabelLines());
// quick, and enough to learn from
const SETTINGS = { labels, epochs: 4, batchSize: 8, learningRate: 5e-4, heldOut: 0.2, evaluateEvery: 4, workers: 2 };
// just as much as shows that something works
const FEW = { labels: writeLabels(at("few.jsonl"), demoLabelLines().slice(0, 8)), epochs: 1, batchSize: 4, learningRate: 5e-4, heldOut: 0.2, workers: 2 };
let model: Model;

beforeAll(async () => {
  model = await loadModel({ model: modelFile, mmproj });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** An RPN file's bytes. */
const bytes = (name: string): Buffer => readFileSync(at(name));

describe("a training", () => {
  let result: distill.TrainResult;
  const seen: distill.TrainProgress[] = [];
  beforeAll(async () => {
    result = await distill.train(model, { ...SETTINGS, out: at("rpn.gguf"), onProgress: (progress) => seen.push(progress) });
  });

  test("lowers the loss on pictures that it has not seen", () => {
    const [first, last] = [result.evaluations[0], result.evaluations.at(-1)!];
    expect(first.step).toBe(0);
    expect(last.step).toBe(result.steps.length);
    expect(last.loss).toBeLessThan(first.loss / 5);
    expect(last.precision).toBeGreaterThan(first.precision);
    expect(result.steps.at(-1)!.loss).toBeLessThan(result.steps[0].loss / 5);
  });

  test("tells each step, with the rate, the speed and the time left", () => {
    const pairs = demoLabelLines().length;
    expect(result.pairs).toEqual({ train: pairs - result.pairs.heldOut, heldOut: expect.any(Number), unusable: 0 });
    expect(result.pairs.heldOut).toBeGreaterThan(0);
    const perEpoch = Math.ceil(result.pairs.train / 8);
    expect(result.steps).toHaveLength(4 * perEpoch);
    expect(seen.map(({ step }) => step)).toEqual(result.steps.map(({ step }) => step));
    expect(seen.map(({ epoch }) => epoch)).toEqual(result.steps.map((_, i) => Math.floor(i / perEpoch) + 1));
    expect(seen[0]).toMatchObject({ learningRate: 0, steps: 4 * perEpoch, epochs: 4 });
    expect(seen[1].learningRate).toBeCloseTo(5e-4, 6);
    expect(seen.at(-1)!.secondsLeft).toBeCloseTo(0, 6);
    expect(seen.every(({ pairsPerSecond, gradNorm }) => pairsPerSecond > 0 && gradNorm > 0)).toBe(true);
    expect(seen.filter(({ evaluation }) => evaluation).map(({ evaluation }) => evaluation)).toEqual(result.evaluations.slice(1));
  });

  test("gives a file that loads beside the model and finds the asked thing", async () => {
    expect(existsSync(at("rpn.gguf.checkpoint"))).toBe(false);
    const trained = await loadModel({ model: modelFile, mmproj, rpn: at("rpn.gguf") });
    expect(trained.info.rpn).toMatchObject({ branchLayer: 3, blockCount: 3, type: "f16", threshold: 0.15, baseName: "pico-llava" });
    let hits = 0;
    const questions = demoQuestions("object");
    for (const { image, question, box } of questions) {
      const { map } = await trained.predictRoI(image, question);
      const best = map.data.indexOf(Math.max(...map.data));
      const [x, y] = [(best % 12) * 84 + 42, Math.floor(best / 12) * 84 + 42];
      hits += x > box[0] - 42 && x < box[2] + 42 && y > box[1] - 42 && y < box[3] + 42 ? 1 : 0;
    }
    await trained.dispose();
    expect(hits / questions.length).toBeGreaterThan(0.3); // by chance: 0.1
  });

  test("does not depend on the memory for hidden states, and hardly on the number of workers", async () => {
    const twice = { ...FEW, epochs: 2 };
    const cached = await distill.train(model, { ...twice, out: at("cached.gguf") });
    await distill.train(model, { ...twice, out: at("uncached.gguf"), cacheBytes: 0 });
    expect(bytes("uncached.gguf").equals(bytes("cached.gguf"))).toBe(true);
    const alone = await distill.train(model, { ...twice, out: at("alone.gguf"), workers: 1 });
    expect(alone.steps).toHaveLength(cached.steps.length);
    alone.steps.forEach(({ loss }, i) => expect(Math.abs(loss - cached.steps[i].loss)).toBeLessThan(1e-3 * cached.steps[i].loss));
  });

  test("has a picture of its course", async () => {
    const { width, height, format } = await sharp(Buffer.from(trainCurve(result))).metadata();
    expect([width, height, format]).toEqual([900, 840, "svg"]);
  });
});

test.each(["f32", "q8_0"] as const)("weights of type %s load and predict", async (type) => {
  const out = at(`${type}.gguf`);
  await distill.train(model, { ...FEW, heldOut: 0, out, type, threshold: 0.25, branchLayer: 2 });
  const trained = await loadModel({ model: modelFile, mmproj, rpn: out });
  expect(trained.info.rpn).toMatchObject({ type, threshold: 0.25, branchLayer: 2 });
  const { image, question } = demoQuestions("object")[0];
  expect((await trained.predictRoI(image, question)).map.data.every((p) => p >= 0 && p <= 1)).toBe(true);
  await trained.dispose();
});

test("several files are trained on together; the order of the pairs and the held-out pictures depend on the seed", async () => {
  const lines = demoLabelLines();
  const parts = [writeLabels(at("a.jsonl"), lines.slice(0, 3)), writeLabels(at("b.jsonl"), lines.slice(3, 8))];
  const once = { ...FEW, type: "f32" as const };
  const whole = await distill.train(model, { ...once, out: at("whole.gguf") });
  const both = await distill.train(model, { ...once, labels: parts, out: at("both.gguf") });
  expect(both.pairs).toEqual(whole.pairs);
  expect(bytes("both.gguf").equals(bytes("whole.gguf"))).toBe(true);
  await distill.train(model, { ...once, seed: 1, out: at("seed.gguf") });
  expect(bytes("seed.gguf").equals(bytes("whole.gguf"))).toBe(false);
});

test("the model answers in between, as it would alone", async () => {
  const { image, question } = demoQuestions("object")[0];
  const alone = await model.answer(image, question);
  const answers: Promise<string>[] = [];
  const onProgress = (): void => void answers.push(model.answer(image, question).then(({ text }) => text));
  await distill.train(model, { ...FEW, out: at("between.gguf"), onProgress });
  expect(new Set(await Promise.all(answers))).toEqual(new Set([alone.text]));
});
