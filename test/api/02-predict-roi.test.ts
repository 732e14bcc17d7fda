import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { demoModel, loadModel, type Model } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const questions = demoQuestions().filter((q) => q.kind !== "coarse");
let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

test("the region shows the asked text on most of the demo's pictures", async () => {
  let shown = 0;
  for (const { image, question, textBox } of questions) {
    const { found, region } = await model.predictRoI(image, question);
    const [x0, y0, x1, y1] = textBox!;
    const c = region.crop;
    shown += found && c && c.x <= x0 && c.y <= y0 && c.x + c.width >= x1 && c.y + c.height >= y1 ? 1 : 0;
  }
  expect(shown / questions.length).toBeGreaterThanOrEqual(0.9);
});

test("the result has the shape that is promised", async () => {
  const { image, question } = questions[0];
  const roi = await model.predictRoI(image, question);
  expect(roi.found).toBe(roi.region.kind !== "none");
  expect([roi.map.width, roi.map.height, roi.map.data.length]).toEqual([12, 12, 144]);
  expect(roi.map.data).toBeInstanceOf(Float32Array);
  expect(Math.min(...roi.map.data)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...roi.map.data)).toBeLessThanOrEqual(1);
  for (const { x, y, width, height, score } of roi.boxes) {
    expect(x >= 0 && y >= 0 && x + width <= 1008 && y + height <= 1008 && width > 0 && height > 0).toBe(true);
    expect(score > 0 && score <= 1).toBe(true);
  }
  expect(Object.keys(roi.timings).sort()).toEqual(["crop", "decode", "generate", "prefill", "rpn", "total", "vision"]);
  expect(roi.timings.rpn).toBeGreaterThan(0);
  expect(roi.timings.generate).toBe(0);
});

test("a threshold above every probability finds nothing, a relative one always something", async () => {
  const { image, question } = questions[0];
  const none = await model.predictRoI(image, question, { threshold: 1 });
  expect([none.found, none.boxes, none.region]).toEqual([false, [], { kind: "none", crop: null, keep: null, view: null }]);
  const some = await model.predictRoI(image, question, { threshold: -0.5 });
  expect(some.found).toBe(true);
});

test("boxes are in source pixels after EXIF rotation", async () => {
  const { image, question } = questions[0];
  const upright = await model.predictRoI(image, question);
  // the same picture stored turned, with the orientation that turns it back
  const turned = await sharp(await sharp(image).rotate(-90).png().toBuffer()).withMetadata({ orientation: 6 }).png().toBuffer();
  const roi = await model.predictRoI(turned, question);
  expect(roi.boxes.map(({ x, y, width, height }) => [x, y, width, height])).toEqual(
    upright.boxes.map(({ x, y, width, height }) => [x, y, width, height]),
  );
});

test("every kind of image input gives the same map", async () => {
  const { image, question } = questions[1];
  const bytes = await readFile(image);
  const raw = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  const inputs = [
    image,
    pathToFileURL(image),
    bytes,
    new Uint8Array(bytes),
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
    { data: raw.data, width: raw.info.width, height: raw.info.height, channels: raw.info.channels as 3 },
  ];
  const maps = await Promise.all(inputs.map(async (input) => (await model.predictRoI(input, question)).map.data));
  for (const map of maps) {
    expect(map).toEqual(maps[0]);
  }
});

test("a fresh pass and one that reuses the picture's state agree", async () => {
  const [{ image, question }] = questions;
  const { model: lm, mmproj, rpn } = demoModel();
  const uncached = await loadModel({ model: lm, mmproj, rpn, sessionCacheBytes: 0 });
  const fresh = await uncached.predictRoI(image, question);
  await uncached.dispose();
  await model.predictRoI(image, "What shape is red?");
  const reused = await model.predictRoI(image, question);
  const worst = fresh.map.data.reduce((max, p, i) => Math.max(max, Math.abs(p - reused.map.data[i])), 0);
  expect(worst).toBeLessThanOrEqual(1e-3);
});

test("without an RPN it is RPN_NOT_LOADED", async () => {
  const { model: lm, mmproj } = demoModel();
  const plain = await loadModel({ model: lm, mmproj });
  expect(plain.info.rpn).toBeNull();
  await expect(plain.predictRoI(questions[0].image, "What code is on the red circle?")).rejects.toMatchObject({ code: "RPN_NOT_LOADED" });
  await expect(plain.answer(questions[0].image, "What?", { roi: "always" })).rejects.toMatchObject({ code: "RPN_NOT_LOADED" });
  const answer = await plain.answer(questions[0].image, "What shape is red?");
  expect([answer.roi, answer.usedRoI]).toEqual([null, false]);
  await plain.dispose();
});
