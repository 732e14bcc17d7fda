// Pictures of every shape before models whose views have the picture's own proportions: each is answered about, or refused in words
// before memory is taken. Weights are random: what counts is that every size goes through.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint, loadModel, type Model, type RawImage } from "../../src/index";
import { engineOf } from "../../src/model/engine-of";
import { checkTowerMemory } from "../../src/engine/tower-memory";

const QUESTION = "what is written here?";
const GOLDEN = join(__dirname, "..", "fixtures", "golden", "qwen");

const flat = (width: number, height: number): RawImage => ({ data: new Uint8Array(width * height * 3).fill(200), width, height, channels: 3 });

describe.each(["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"])("%s", (name) => {
  let files: string;
  let model: Model;
  beforeAll(async () => {
    files = mkdtempSync(join(tmpdir(), "sd-rpn-views-"));
    await convertCheckpoint({ checkpoint: join(GOLDEN, name), out: files, type: "f32" });
    model = await loadModel({ model: files, contextSize: 2048 });
  });
  afterAll(async () => {
    await model.dispose();
    rmSync(files, { recursive: true });
  });
  afterEach(() => jest.restoreAllMocks());

  // first, while nothing else has left memory behind
  test("the prediction is what the tower takes", async () => {
    const rss = async (tokens: number): Promise<number> => {
      const before = process.memoryUsage.rss();
      let most = before;
      const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 2);
      await model.encodeImage(flat(700, 700), { imageTokens: { min: tokens, max: tokens } });
      clearInterval(watch);
      return most - before;
    };
    await rss(64);
    const grew = await rss(2048);
    const { patchBytes, pairBytes } = engineOf(model).info.vision;
    const patches = 4 * 46 * 46;
    const predicted = patches * (patchBytes + patches * pairBytes);
    expect(grew / predicted).toBeGreaterThan(0.4);
    expect(grew / predicted).toBeLessThan(2.5);
    expect(() => checkTowerMemory({ width: 46, height: 46 }, { patchBytes, pairBytes }, predicted)).not.toThrow();
    expect(() => checkTowerMemory({ width: 46, height: 46 }, { patchBytes, pairBytes }, predicted - 1)).toThrow(/2116 tokens/);
  });

  test.each<[number, number]>([
    [1, 1],
    [27, 27],
    [27, 257],
    [585, 833],
    [13, 2600], // 200 times as long as wide
    [2600, 13],
    [32_768, 164], // the longest side there is
    [28, 5600],
    [1024, 484],
    [7071, 7071], // 50 MP
  ])("a picture of %i x %i", async (width, height) => {
    const imageTokens = { min: 16, max: 160 };
    const { usage, roi, usedRoI, image } = await model.answer(flat(width, height), QUESTION, { roi: "always", gate: "auto", imageTokens, maxTokens: 2 });
    expect(image).toMatchObject({ width, height });
    const { grid, tokens } = roi!.view;
    expect(tokens).toBe(grid.width * grid.height);
    expect(usage.imageTokens).toBe(tokens);
    // rounding of one side to whole cells may leave the budget by that side
    expect(tokens).toBeLessThanOrEqual(imageTokens.max + Math.max(grid.width, grid.height));
    expect(usage.roiTokens > 0).toBe(usedRoI);
    if (usedRoI) {
      const { crop, view } = roi!.region;
      expect(crop!.x >= 0 && crop!.y >= 0 && crop!.x + crop!.width <= width && crop!.y + crop!.height <= height).toBe(true);
      expect(view!.tokens).toBe(view!.grid.width * view!.grid.height);
    }
    expect(roi!.map.data.every((value) => value >= 0 && value <= 1)).toBe(true);
  });

  test.each<[number, number, string]>([
    [29, 8000, "275.9 times"],
    [1, 201, "201.0 times"],
    [20_001, 100, "200.0 times"],
  ])("a picture of %i x %i is too long, which is said with the number", async (width, height, ratio) => {
    await expect(model.answer(flat(width, height), QUESTION)).rejects.toMatchObject({ code: "IMAGE_INVALID", message: expect.stringContaining(ratio) });
    await expect(model.open(flat(width, height))).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    expect((await model.answer(flat(64, 64), QUESTION, { maxTokens: 1 })).usage.completionTokens).toBe(1);
  });

  test("memory that the tower would take and does not have is told before, with both numbers", async () => {
    const memory = jest.spyOn(process, "availableMemory").mockReturnValue(2e6);
    const large = flat(800, 800);
    await expect(model.encodeImage(large)).rejects.toMatchObject({ code: "OUT_OF_MEMORY", message: expect.stringMatching(/^A view of \d+ tokens takes \d+ MB in the vision tower, but 2 MB are free: ask with fewer imageTokens/) });
    await expect(model.answer(large, QUESTION)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    await expect(model.open(large)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    memory.mockReturnValue(1e12);
    const session = await model.open(large);
    memory.mockReturnValue(2e6);
    // the picture is there; a second look at it is not
    await expect(session.answer(QUESTION, { roi: [{ x: 0, y: 0, width: 600, height: 600 }] })).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    expect((await session.answer(QUESTION, { roi: "never", maxTokens: 1 })).usage.completionTokens).toBe(1);
    await session.dispose();
  });

  test("method vicrop is refused in words, and the next call is right", async () => {
    await expect(model.answer(flat(300, 300), QUESTION, { method: "vicrop" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/"vicrop", which reads the attention of LLaVA-1.5 models only/) });
    expect((await model.predictRoI(flat(300, 300), QUESTION)).method).toBe("rpn");
  });

  test("a picture that the budget shows far too small is hinted at", async () => {
    const { hints } = await model.answer(flat(3000, 3000), QUESTION, { roi: "never", imageTokens: { min: 64, max: 64 }, maxTokens: 1 });
    expect(hints).toEqual([{ code: "SMALL_PRINT", message: expect.stringContaining("views with more tokens (imageTokens)") }]);
    expect((await model.answer(flat(900, 900), QUESTION, { roi: "never", imageTokens: { min: 256, max: 576 }, maxTokens: 1 })).hints).toEqual([]);
  });
});
