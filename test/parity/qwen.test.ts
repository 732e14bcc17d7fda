// Qwen2.5-VL and Qwen3-VL against the references' own numbers (golden/qwen), from the published form of a checkpoint to the answer,
// through the public API.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Answer, convertCheckpoint, loadModel, type Model, type RoI } from "../../src/index";
import { readSafetensors } from "../helpers/safetensors";

interface Case {
  name: string;
  image: string;
  size: [number, number];
  question: string;
  minTokens: number;
  maxTokens: number;
  grid: [number, number];
  imageTokens: number;
  promptTokens: number;
  plainTokens: number[];
  plainMargins: number[];
  answerTokens?: number[];
  answerMargins?: number[];
  roiThreshold?: number;
  cells?: [number, number, number, number];
  box?: [number, number, number, number];
  roiGrid?: [number, number];
  roiKept?: string;
  gate?: { enabled: boolean; threshold: number; score: number | null };
  reuseSourcePositions?: boolean;
}

const GOLDEN = join(__dirname, "..", "fixtures", "golden", "qwen");
const FEATURES = 1e-3;
const MAP = 1.5e-3;
const LOGPROB = 4e-3;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The greatest relative error of a row. */
function rowError(actual: Float32Array, expected: (row: number) => ArrayLike<number>, width: number): number {
  let worst = 0;
  for (let row = 0; row < actual.length / width; row++) {
    const wanted = expected(row);
    let [difference, norm] = [0, 0];
    for (let i = 0; i < width; i++) {
      difference += (actual[row * width + i] - wanted[i]) ** 2;
      norm += wanted[i] ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / norm));
  }
  return worst;
}

/**
 * The greatest error of the log-probabilities of an answer's tokens and of the likeliest in their places, as long as the tokens agree;
 * they must, where the reference's best logit leads by more than 0.02. At most `steps`.
 */
function logprobError({ logprobs }: Answer, logits: Float32Array, tokens: readonly number[], margins: readonly number[], steps = 10): number {
  const vocabulary = logits.length / 10;
  let worst = 0;
  for (const [step, entry] of logprobs!.slice(0, steps).entries()) {
    const row = logits.subarray(step * vocabulary, (step + 1) * vocabulary);
    const greatest = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const logSum = greatest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
    for (const { id, logprob } of [entry, ...entry.top]) {
      worst = Math.max(worst, Math.abs(logprob - (row[id] - logSum)));
    }
    if (entry.id !== tokens[step]) {
      expect(margins[step]).toBeLessThanOrEqual(0.02);
      break;
    }
  }
  return worst;
}

describe.each(["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"])("%s", (name) => {
  const folder = join(GOLDEN, name);
  const { cases } = JSON.parse(readFileSync(join(folder, "cases.json"), "utf8")) as { cases: Case[] };
  const expected = readSafetensors(join(folder, "expected.safetensors"));
  const values = (i: number, what: string): Float32Array | undefined => expected.get(`${i}.${what}`)?.data as Float32Array | undefined;
  let files: string;
  let model: Model;

  beforeAll(async () => {
    files = mkdtempSync(join(tmpdir(), "sd-rpn-qwen-"));
    await convertCheckpoint({ checkpoint: folder, out: files, type: "f32" });
    model = await loadModel({ model: join(files, "model.gguf"), mmproj: join(files, "mmproj.gguf"), rpn: join(files, "rpn.gguf"), contextSize: 4096 });
  });
  afterAll(async () => {
    await model.dispose();
    rmSync(files, { recursive: true });
  });

  test("info says what the network's file has", () => {
    const qzoom = name !== "sdrpn-qwen2.5";
    const { kind, gate, imageTokens, roiPositions } = model.info.rpn!;
    expect([kind, gate !== null, roiPositions]).toEqual([qzoom ? "qzoom" : "sdrpn-qwen", qzoom, "fresh"]);
    expect(imageTokens).toEqual({ min: model.info.imageTokensMin, max: model.info.imageTokens });
  });

  describe.each(cases.map((each, index) => ({ ...each, index })))("case $index, $name", (of) => {
    const { index, question } = of;
    const image = join(folder, of.image);
    const imageTokens = { min: of.minTokens, max: of.maxTokens };
    const gate = of.gate?.enabled ? of.gate.threshold : false;
    const writing = { imageTokens, exact: true, maxTokens: 10, logprobs: 20 } as const;
    const aligned = of.reuseSourcePositions ? { roiPositions: "aligned" as const } : {};

    test("features", async () => {
      const features = await model.encodeImage(image, { imageTokens });
      const width = model.info.embeddingLength;
      const parts = features.length / (of.imageTokens * width);
      expect(parts).toBe(name === "qzoom-qwen3" ? 4 : 1);
      const [first, deep] = [values(index, "features"), values(index, "deepstack")];
      if (first) {
        // a token has its own row, then one of each deepstack layer
        const row = (at: number): Float32Array => {
          const [token, part] = [Math.floor(at / parts), at % parts];
          const [source, start] = part === 0 ? [first, token] : [deep!, (part - 1) * of.imageTokens + token];
          return source.subarray(start * width, (start + 1) * width);
        };
        expect(rowError(features, row, width)).toBeLessThan(FEATURES);
      }
    });

    test("the answer with one view", async () => {
      const answer = await model.answer(image, question, { ...writing, roi: "never" });
      expect(answer.usage).toMatchObject({ promptTokens: of.promptTokens, imageTokens: of.imageTokens, roiTokens: 0 });
      // SD-RPN's code keeps positions of the run before for later steps (spec, S6); the first step is right
      const steps = name === "sdrpn-qwen2.5" ? 1 : 10;
      expect(logprobError(answer, values(index, "plain_logits")!, of.plainTokens, of.plainMargins, steps)).toBeLessThan(LOGPROB);
    });

    const logits = values(index, "roi_logits");
    if (logits) {
      test("map, gate and region", async () => {
        const roi: RoI = await model.predictRoI(image, question, { threshold: of.roiThreshold, gate, imageTokens, exact: true });
        expect([roi.view.grid, roi.view.tokens]).toEqual([{ width: of.grid[1], height: of.grid[0] }, of.imageTokens]);
        expect(Math.max(...roi.map.data.map((value, cell) => Math.abs(value - sigmoid(logits[cell]))))).toBeLessThan(MAP);
        expect(roi.gate).toEqual(of.gate?.enabled ? { score: expect.any(Number), threshold: of.gate.threshold, passed: true } : null);
        if (of.gate?.score) {
          expect(Math.abs(roi.gate!.score - of.gate.score)).toBeLessThan(2e-3);
        }
        const [x, y, right, bottom] = of.box ?? [];
        expect(roi.region.crop).toEqual(of.cells && of.box ? { x, y, width: right! - x!, height: bottom! - y! } : null);
        if (of.cells && of.roiGrid) {
          expect(roi.region.view!.grid).toEqual({ width: of.roiGrid[1], height: of.roiGrid[0] });
          const kept = of.roiKept ? [...of.roiKept].flatMap((digit, cell) => (digit === "1" ? [cell] : [])) : undefined;
          expect(roi.region.keep ?? undefined).toEqual(kept?.length === roi.region.view!.tokens ? undefined : kept);
        }
      });

      test("the answer with a second look", async () => {
        const answer = await model.answer(image, question, { ...writing, ...aligned, threshold: of.roiThreshold, gate });
        expect(answer.usedRoI).toBe(of.cells !== undefined && of.box !== undefined && of.answerTokens !== undefined && answer.usage.roiTokens > 0);
        if (of.answerTokens && of.cells) {
          expect(logprobError(answer, values(index, "two_logits")!, of.answerTokens, of.answerMargins!)).toBeLessThan(LOGPROB);
        }
      });
    } else if (of.gate?.score) {
      test("the gate says no: no region, and the answer of one view", async () => {
        const answer = await model.answer(image, question, { ...writing, gate });
        expect(answer.roi).toMatchObject({ found: false, gate: { passed: false, threshold: of.gate!.threshold }, region: { kind: "none" } });
        expect(Math.abs(answer.roi!.gate!.score - of.gate!.score!)).toBeLessThan(2e-3);
        expect(answer.text).toBe((await model.answer(image, question, { ...writing, roi: "never" })).text);
        // past the gate, and without it
        expect((await model.answer(image, question, { ...writing, roi: "always" })).usedRoI).toBe(true);
        expect((await model.predictRoI(image, question, { gate: false, imageTokens })).gate).toBeNull();
      });
    }
  });

  test("a conversation behind a system text: each turn goes on where the last one ended", async () => {
    const image = join(folder, cases[0].image);
    const options = { roi: "never", maxTokens: 6, logprobs: 20 } as const;
    await using session = await model.open(image, { system: "You are brief." });
    const chat = session.chat();
    const first = await chat.answer("What is it?", options);
    const second = await chat.answer("And where?", options);
    expect(second.usage.reusedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens); // what such a model writes may be other tokens when it is read
    const system = "You are brief.";
    const [alone, fresh] = [await model.answer(image, "What is it?", { ...options, system }), await model.open(image, { system })];
    expect(alone.text).toBe(first.text);
    expect(alone.usage.promptTokens).toBe(first.usage.promptTokens);
    const whole = await fresh.answer("And where?", { ...options, history: chat.history.slice(0, 2) });
    expect(whole.usage.reusedTokens).toBe(0);
    expect(whole.usage.promptTokens).toBe(second.usage.promptTokens);
    for (const [i, { id, logprob }] of whole.logprobs!.entries()) {
      expect([second.logprobs![i].id, second.logprobs![i].logprob]).toEqual([id, expect.closeTo(logprob, 3)]);
    }
    await fresh.dispose();
  });

  test("several pictures of different sizes: each with the region that it has alone, the answer aware of all", async () => {
    const [one, two] = [cases[0], cases.find(({ image, size }) => image !== cases[0].image && size.join() !== cases[0].size.join())!];
    const images = [one, two].map(({ image }) => join(folder, image));
    const imageTokens = { min: 64, max: 256 };
    const options = { imageTokens, gate: false, threshold: 0.05, maxTokens: 4, logprobs: 5 } as const;
    const answer = await model.answer(images, one.question, options);
    expect(answer.hints.filter(({ code }) => code === "ONE_PICTURE_MODEL")).toEqual([]);
    let tokens = 0;
    for (const [i, image] of images.entries()) {
      const alone = await model.predictRoI(image, one.question, { imageTokens, gate: false, threshold: 0.05 });
      expect(answer.pictures![i].roi!.region).toEqual(alone.region);
      expect(answer.pictures![i].imageTokens).toBe(alone.view.tokens);
      tokens += alone.view.tokens;
    }
    expect(answer.usage.imageTokens).toBe(tokens);
    // the marks around the pictures: two for each, and the text around them as with one
    const alone = await model.answer(images[0], one.question, { ...options, roi: "never" });
    const both = await model.answer(images, one.question, { ...options, roi: "never" });
    expect(both.usage.promptTokens - alone.usage.promptTokens).toBe(answer.pictures![1].imageTokens + 2);
    expect(both.logprobs![0].logprob).not.toBeCloseTo(alone.logprobs![0].logprob, 5);
    const looked = await model.answer(images, one.question, { ...options, roi: "always" });
    expect(looked.pictures!.map(({ usedRoI }) => usedRoI)).toEqual([true, true]);
    if (name !== "sdrpn-qwen2.5") {
      const aligned = await model.answer(images, one.question, { ...options, roi: "always", roiPositions: "aligned" });
      const fresh = await model.answer(images, one.question, { ...options, roi: "always", roiPositions: "fresh" });
      expect(aligned.usage.roiTokens).toBe(fresh.usage.roiTokens);
      expect(aligned.logprobs![0].logprob).not.toBeCloseTo(fresh.logprobs![0].logprob, 5);
    }
  });
});
