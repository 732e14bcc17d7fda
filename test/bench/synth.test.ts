import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelFiles, synthesize } from "../../bench/synth";
import { loadModel } from "../../src/index";
import { demoQuestions } from "../helpers/demo";
import { readGguf } from "../helpers/gguf-writer";

const [{ image }] = demoQuestions();
const question = "What is the total amount written on the second line of the document?";
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sd-rpn-synth-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const tiny = (type: string, sizes?: Record<string, number>): ModelFiles => synthesize({ shape: "tiny", scale: 1, type, sizes }, dir).files;

test.each(["f16", "q8_0", "q4_0", "q4_k"])("a tiny model of type %s loads, and all that it computes is finite", async (type) => {
  const model = await loadModel({ ...tiny(type), threads: 1 });
  try {
    expect(model.info).toMatchObject({ architecture: "llama", layers: 6, embeddingLength: 128, imageTokens: 64, rpn: { branchLayer: 3, blockCount: 2 } });
    const features = await model.encodeImage(image);
    expect(features.length).toBe(64 * 128);
    expect(features.every(Number.isFinite)).toBe(true);
    const rms = Math.hypot(...features) / Math.sqrt(features.length);
    expect(rms).toBeGreaterThan(0.3);
    expect(rms).toBeLessThan(3);

    const { map } = await model.predictRoI(image, question);
    expect(map.data.every((p) => p > 0 && p < 1)).toBe(true);

    // the last token of the prompt is a colon, and each piece is followed by the next one of the vocabulary
    const answer = await model.answer(image, question, { roi: [{ x: 100, y: 100, width: 300, height: 200 }], maxTokens: 12 });
    expect(answer).toMatchObject({ text: ";<=>?@ABCDEF", finishReason: "length", usage: { roiTokens: 64, completionTokens: 12 } });
  } finally {
    await model.dispose();
  }
});

test("the files are the same at each making, other ones for another seed, and not made twice", () => {
  const other = mkdtempSync(join(tmpdir(), "sd-rpn-synth-"));
  try {
    const files = tiny("q8_0");
    const again = synthesize({ shape: "tiny", scale: 1, type: "q8_0" }, other).files;
    const seeded = synthesize({ shape: "tiny", scale: 1, type: "q8_0", seed: 2 }, other).files;
    for (const part of ["model", "mmproj", "rpn"] as const) {
      const bytes = readFileSync(files[part]);
      expect(bytes.equals(readFileSync(again[part]))).toBe(true);
      expect(bytes.equals(readFileSync(seeded[part]))).toBe(false);
    }
    expect(readdirSync(other).length).toBe(6);
    expect(tiny("q8_0")).toEqual(files);
  } finally {
    rmSync(other, { recursive: true });
  }
});

test("scale divides widths and heads of all three; layers, tokens and the width of a head stay", () => {
  const sizes = { layers: 16, vocab: 2000 }; // of the 7B shape, with less to write
  const made = synthesize({ shape: "llava-1.5-7b", scale: 16, type: "q4_0", sizes }, dir);
  const { model, mmproj, rpn } = made.files;
  const value = (path: string, key: string): unknown => {
    const found = readGguf(path).metadata.get(key);
    return found && "value" in found ? found.value : undefined;
  };
  expect(made.sizes).toEqual({ layers: 16, width: 256, kvWidth: 256, ff: 704, vocab: 2000, branch: 15, blocks: 3, imageTokens: 576 });
  expect(value(model, "llama.embedding_length")).toBe(256);
  expect(value(model, "llama.attention.head_count")).toBe(2);
  expect(value(model, "llama.rope.dimension_count")).toBe(128);
  expect(value(model, "llama.feed_forward_length")).toBe(704); // 11008 / 16 = 688, in whole blocks of 32
  expect(value(model, "llama.block_count")).toBe(16);
  expect(value(mmproj, "clip.vision.embedding_length")).toBe(64);
  expect(value(mmproj, "clip.vision.image_size")).toBe(336);
  expect(value(mmproj, "clip.vision.block_count")).toBe(24);
  expect(value(rpn, "sdrpn.embedding_length")).toBe(256);
  expect(value(rpn, "sdrpn.branch_layer")).toBe(15);
});

test("what makes no model is refused in words", () => {
  const refused = (options: Parameters<typeof synthesize>[0]): string => {
    try {
      synthesize(options, dir);
    } catch (error) {
      return String((error as { stderr?: string }).stderr);
    }
    return "";
  };
  expect(refused({ shape: "llama", scale: 1, type: "f16" })).toMatch(/llava-1\.5-7b, llava-1\.5-13b or tiny/);
  expect(refused({ shape: "tiny", scale: 1, type: "iq1_s" })).toMatch(/INVALID_ARGUMENT.*iq1_s/);
  expect(refused({ shape: "tiny", scale: 1, type: "f16", sizes: { depth: 3 } })).toMatch(/no option --depth/);
  expect(refused({ shape: "tiny", scale: 1, type: "f16", sizes: { heads: 3 } })).toMatch(/heads must divide/);
});
