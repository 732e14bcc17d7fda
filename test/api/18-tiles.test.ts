// Tall, wide and large pictures, in which one view shows small print as a smear: the network asked in overlapping windows; and the hint that says so.
import sharp from "sharp";
import { type AnswerOptions, loadModel, type Model, type PredictOptions, renderOverlay, type RoI } from "../../src/index";
import { Engine } from "../../src/engine/engine";
import { engineOf } from "../../src/model/engine-of";
import { demoQuestions } from "../helpers/demo";

const { image, question, answer: code, textBox } = demoQuestions().find((each) => each.question === "What code is under ROOM?")!;
const SIDE = 1008;
const PAGE = 8 * SIDE;

let model: Model;
/** the scene at the end of a page of paper */
let tall: Buffer;
let wide: Buffer;
beforeAll(async () => {
  model = await loadModel();
  const paper = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: "#fff" } });
  tall = await paper(SIDE, PAGE).composite([{ input: image, left: 0, top: PAGE - SIDE }]).png().toBuffer();
  wide = await paper(PAGE, SIDE).composite([{ input: image, left: PAGE - SIDE, top: 0 }]).png().toBuffer();
});
afterAll(() => model.dispose());

/** Whether the region shows the text of the answer, which is at `left`, `top` of the page. */
function shows({ region: { crop } }: RoI, left: number, top: number): boolean {
  const [x0, y0, x1, y1] = textBox!;
  return crop !== null && crop.x <= left + x0 && crop.y <= top + y0 && crop.x + crop.width >= left + x1 && crop.y + crop.height >= top + y1;
}

test("a code at the bottom of a page eight times as tall as wide is read; in one view it is not", async () => {
  const plain = await model.answer(tall, question);
  expect(plain.text).not.toBe(code);
  expect(plain.hints.map((hint) => hint.code)).toEqual(["SMALL_PRINT"]);
  expect(plain.roi!.tiles).toBeNull();

  const tiled = await model.answer(tall, question, { tiles: "auto" });
  expect(tiled).toMatchObject({ text: code, usedRoI: true, hints: [], image: { width: SIDE, height: PAGE } });
  const roi = tiled.roi!;
  expect(shows(roi, 0, PAGE - SIDE)).toBe(true);
  expect(roi.tiles!.map(({ found }) => found)).toEqual([...Array<boolean>(10).fill(false), true]);
  expect(roi.tiles!.at(-1)).toEqual({ box: { x: 0, y: PAGE - SIDE, width: SIDE, height: SIDE }, found: true, gate: null });
  // each window has the cells that the scene alone has, and the page has them all
  expect([roi.view.tokens, roi.map.width, roi.map.height]).toEqual([144, 12, 96]);
  expect(roi.boxesNormalized[0].y).toBeCloseTo(roi.boxes[0].y / PAGE);
});

test("the region is that of the scene alone, moved to its place", async () => {
  const alone = await model.predictRoI(image, question);
  const tiled = await model.predictRoI(tall, question, { tiles: "auto" });
  // pixels of a PNG of a JPEG's are the same
  const top = PAGE - SIDE;
  expect(tiled.region.crop).toEqual({ ...alone.region.crop!, y: alone.region.crop!.y + top });
  expect(tiled.boxes).toEqual(alone.boxes.map((box) => ({ ...box, y: box.y + top, score: expect.closeTo(box.score, 3) })));
  for (const [cell, value] of alone.map.data.entries()) {
    if (cell >= 4 * 12) { // the window before reaches over the first four rows
      expect(tiled.map.data[tiled.map.data.length - 144 + cell]).toBeCloseTo(value, 3);
    }
  }
});

test("a wide page too, and turned scans of both", async () => {
  expect((await model.answer(wide, question, { tiles: "auto" })).text).toBe(code);
  const scan = await sharp(tall).rotate(270).png().toBuffer();
  const { roi, text } = await model.answer(scan, question, { tiles: "auto", rotate: 90 });
  expect(text).toBe(code);
  expect(roi!.image).toMatchObject({ width: PAGE, height: SIDE, rotated: 90 });
  expect([roi!.map.width, roi!.map.height]).toEqual([96, 12]);
  // turned clockwise by 270, what was at the bottom is at the right
  const last = roi!.tiles!.at(-1)!;
  expect(last.box).toEqual({ x: PAGE - SIDE, y: 0, width: SIDE, height: SIDE });
  const { crop } = roi!.region;
  expect(crop!.x).toBeGreaterThanOrEqual(PAGE - SIDE);
});

test("what the windows cost is in the timings, and their state serves the next question", async () => {
  const first = await model.predictRoI(await sharp(tall).negate().png().toBuffer(), question, { tiles: "auto" });
  const views = first.timings.vision;
  const session = await model.open(tall);
  const before = await session.predictRoI(question, { tiles: "auto" });
  expect(before.timings).toMatchObject({ decode: expect.any(Number), vision: 0 }); // known from the tests before
  expect(views).toBeGreaterThan(0);
  expect(before.timings.prefill).toBeGreaterThan(0);
  expect((await session.answer(question, { tiles: "auto" })).text).toBe(code);
  expect((await session.answer(question, { tiles: 11 })).text).toBe(code);
  await session.dispose();
});

test("a picture that one view shows well is seen whole", async () => {
  const plain = await model.answer(image, question);
  const tiled = await model.answer(image, question, { tiles: "auto" });
  expect(tiled.roi!.tiles).toBeNull();
  expect([tiled.text, tiled.roi!.region.crop]).toEqual([plain.text, plain.roi!.region.crop]);
  expect(await model.predictRoI(image, question, { tiles: 2 })).toMatchObject({ tiles: null, region: { crop: plain.roi!.region.crop } });
});

test("roi \"always\" looks at the likeliest place of all windows", async () => {
  const { roi, usedRoI } = await model.answer(tall, question, { tiles: "auto", roi: "always", threshold: 0.99, maxTokens: 1 });
  expect(roi).toMatchObject({ found: false, boxes: [], region: { kind: "crop" } });
  expect(usedRoI).toBe(true);
  const peak = roi!.map.data.indexOf(roi!.map.data.reduce((a, b) => Math.max(a, b)));
  const [x, y] = [((peak % 12) + 0.5) * 84, (Math.floor(peak / 12) + 0.5) * 84];
  const { crop } = roi!.region;
  expect(crop!.x <= x && x <= crop!.x + crop!.width && crop!.y <= y && y <= crop!.y + crop!.height).toBe(true);
});

test("each of several pictures, streams, and the overlay", async () => {
  const several = await model.answer([image, tall], question, { tiles: "auto", maxTokens: 1 });
  expect(several.pictures!.map(({ roi }) => roi!.tiles?.length ?? 1)).toEqual([1, 11]);
  expect(shows(several.pictures![1].roi!, 0, PAGE - SIDE)).toBe(true);
  let seen: RoI | undefined;
  for await (const event of model.answerStream(tall, question, { tiles: "auto" })) {
    if (event.type === "roi") seen = event.roi;
  }
  expect(seen!.tiles).toHaveLength(11);
  expect(JSON.parse(JSON.stringify(seen)).tiles).toEqual(seen!.tiles);

  // heat lies where the map has it: edge to edge, not in the middle of a square
  const drawn = await sharp(await renderOverlay(tall, { ...seen!, boxes: [], region: { kind: "none", crop: null, keep: null } }, { model: model.info.view })).raw().toBuffer({ resolveWithObject: true });
  const given = await sharp(tall).removeAlpha().raw().toBuffer();
  const changed = (from: number, to: number): number => {
    let count = 0;
    for (let i = from * SIDE * 3; i < to * SIDE * 3; i++) count += Math.abs(drawn.data[i] - given[i]) > 8 ? 1 : 0;
    return count;
  };
  expect(changed(PAGE - SIDE, PAGE)).toBeGreaterThan(1000);
  expect(changed(0, PAGE / 2)).toBeLessThan(changed(PAGE - SIDE, PAGE) / 10);
});

test.each<[AnswerOptions & PredictOptions, string]>([
  [{ tiles: 1 }, 'Expected auto or integer between 2 and 64 for tiles but received 1'],
  [{ tiles: 65 }, 'Expected auto or integer between 2 and 64 for tiles but received 65'],
  [{ tiles: "all" as "auto" }, 'Expected auto or integer between 2 and 64 for tiles but received all'],
  [{ tiles: "auto", method: "vicrop" }, 'Expected no tiles with method "vicrop"'],
])("%j is refused, and the next call is right", async (options, message) => {
  await expect(model.answer(tall, question, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
  await expect(model.predictRoI(tall, question, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  expect((await model.predictRoI(image, question)).found).toBe(true);
});

test.each<AnswerOptions>([{ roi: "never" }, { roi: [{ x: 0, y: 0, width: 9, height: 9 }] }])("with %j nothing is looked for, so tiles are refused", async (options) => {
  await expect(model.answer(tall, question, { ...options, tiles: "auto" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("no region is looked for") });
});

test("a call is aborted between windows", async () => {
  const controller = new AbortController();
  const engine = engineOf(model);
  const windows = jest.spyOn(engine, "useDecoded").mockImplementation(async (...args) => {
    if (windows.mock.calls.length === 3) controller.abort();
    return Engine.prototype.useDecoded.apply(engine, args);
  });
  const call = model.predictRoI(tall, question, { tiles: "auto", signal: controller.signal });
  await expect(call).rejects.toMatchObject({ code: "ABORTED" });
  expect(windows).toHaveBeenCalledTimes(3);
  windows.mockRestore();
  expect((await model.answer(tall, question, { tiles: "auto" })).text).toBe(code);
});

describe("the hint about small print", () => {
  test("comes where all that is read shows 24 pixels as less than 4", async () => {
    const scene = sharp(image);
    const at = (side: number) => scene.clone().resize(side, side).png().toBuffer();
    const codes = async (picture: Buffer, options: AnswerOptions) => (await model.answer(picture, question, { ...options, maxTokens: 1 })).hints.map((hint) => hint.code);
    expect(await codes(await at(6 * 168), { roi: "never" })).toEqual([]); // the view has 168 pixels
    expect(await codes(await at(6 * 168 + 1), { roi: "never" })).toEqual(["SMALL_PRINT"]);
    const large = await at(2016);
    expect(await codes(large, { roi: [{ x: 0, y: 0, width: 1009, height: 9 }] })).toEqual(["SMALL_PRINT"]);
    expect(await codes(large, { roi: [{ x: 0, y: 0, width: 1008, height: 9 }] })).toEqual([]);
    expect((await model.answer(large, question, { roi: "never", maxTokens: 1 })).hints[0].message).toContain("has 12.0 pixels for one of what the model sees of it: text of less than 48 pixels");
  });

  test("predictRoI says it of what a second look would read", async () => {
    const large = await sharp(image).resize(2016, 2016).png().toBuffer();
    expect((await model.predictRoI(large, question, { threshold: 1 })).hints.map((hint) => hint.code)).toEqual(["SMALL_PRINT"]);
    expect(await model.predictRoI(large, question)).toMatchObject({ found: true, hints: [] });
  });
});
