// Regions by other ways than the network: the attention of the model's own answer, and ViCrop's relative attention.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoModel, distill, loadModel, type Model, type RegionMethod, type RoI } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const { model: lm, mmproj } = demoModel();
const objects = demoQuestions("object");
const [first, second] = objects;
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-methods-"));
let model: Model;
beforeAll(async () => {
  model = await loadModel({ heads: "demo" });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const METHODS = ["rpn", "attention", "vicrop"] as const;
/** What does not differ from call to call. */
const fixed = ({ timings: _, map, ...rest }: RoI) => ({ ...rest, map: Array.from(map.data) });
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const headsOf = (changes: object) =>
  JSON.stringify({
    format: "sd-rpn-heads",
    version: 1,
    model: { name: "pico-llava", architecture: "llama", layers: 6, heads: 4, embeddingLength: 192, grid: { width: 12, height: 12 } },
    chosen: { grounding: [[3, 0], [3, 2], [4, 1]], sink: [] },
    ...changes,
  });

test.each(METHODS)("%s: the region shows the asked text, answers with it are right, and answer.roi is predictRoI's", async (method) => {
  let shown = 0;
  let right = 0;
  for (const { image, question, answer, textBox } of objects) {
    const roi = await model.predictRoI(image, question, { method });
    expect(roi.method).toBe(method);
    const [x0, y0, x1, y1] = textBox!;
    const c = roi.region.crop;
    shown += c && c.x <= x0 && c.y <= y0 && c.x + c.width >= x1 && c.y + c.height >= y1 ? 1 : 0;
    const said = await model.answer(image, question, { method });
    expect(fixed(said.roi!)).toEqual(fixed(roi));
    expect(said.usedRoI).toBe(roi.found);
    right += said.text === answer ? 1 : 0;
  }
  expect(shown).toBeGreaterThanOrEqual(8); // of 12; without a look one answer in 640 is right
  expect(right).toBeGreaterThanOrEqual(10);
});

test("attention: map, box and score are those of the labels that a network would be trained on", async () => {
  for (const { image, question } of objects.slice(0, 4)) {
    const roi = await model.predictRoI(image, question, { method: "attention" });
    const { value: made } = await distill.label(model, [{ image, question }], { heads: "demo", maxTokens: 32 }).next();
    if (!made || made.error) throw new Error("no label");
    const greatest = Math.max(...made.grounding);
    expect(Array.from(roi.map.data)).toEqual(Array.from(made.grounding, (value) => expect.closeTo(value / greatest, 6)));
    const [y0, x0, y1, x1] = made.foregroundBox;
    const box = { x: 84 * x0, y: 84 * y0, width: 84 * (x1 + 1 - x0), height: 84 * (y1 + 1 - y0) }; // 1008 pixels over 12 cells
    expect(roi.boxes).toEqual([{ ...box, score: greatest }]);
    expect(roi.region).toMatchObject({ kind: "crop", crop: box, keep: null });
  }
});

test("attention: sinks count as nothing", async () => {
  const chosen = { grounding: [[3, 0], [3, 2]] as [number, number][], sink: [[3, 1], [4, 3]] as [number, number][] };
  await using own = await loadModel({ model: lm, mmproj, heads: file("sinks.json", headsOf({ chosen })) });
  const { image, question } = first;
  const { map } = await own.predictRoI(image, question);
  const { value: made } = await distill.label(model, [{ image, question }], { heads: chosen, maxTokens: 32 }).next();
  if (!made || made.error) throw new Error("no label");
  const free = Array.from(made.grounding, (value, cell) => (made.sink[cell] >= 1e-3 ? 0 : value));
  expect([free.filter((value) => value === 0).length, free.filter((value) => value > 0).length].every((count) => count > 10)).toBe(true);
  expect(Array.from(map.data)).toEqual(free.map((value) => expect.closeTo(value / Math.max(...free), 6)));
});

test("vicrop: the map is the attention of the prompt's last token over that of a description's", async () => {
  const suffix = "\nAnswer the question using a single word or phrase.";
  const { image, question } = first;
  const roi = await model.predictRoI(image, question, { method: "vicrop" });
  const meanOver = async (text: string): Promise<number[]> => {
    const { output, heads } = await distill.attention(model, image, text, { layers: [3], maxTokens: 1 }); // 14/32 of 6 layers
    return Array.from({ length: 144 }, (_, cell) => [...Array(heads).keys()].reduce((sum, head) => sum + output[head * 144 + cell], 0) / heads);
  };
  const [own, generic] = [await meanOver(question + suffix), await meanOver(`Write a general description of the image.${suffix}`)];
  const relative = own.map((value, cell) => value / generic[cell]);
  const greatest = Math.max(...relative);
  expect(Array.from(roi.map.data)).toEqual(relative.map((value) => expect.closeTo(value / greatest, 5)));
  // the crop is of whole cells in the map's middle, so its score can be summed
  const { x, y, width, height } = roi.region.crop!;
  expect([width, height].every((side) => side >= 168 && side <= 336)).toBe(true);
  const cells = Math.trunc(width / 84);
  const [left, top] = [x + width / 2, y + height / 2].map((centre) => Math.round(centre / 84 - cells / 2));
  const under = relative.filter((_, cell) => cell % 12 >= left && cell % 12 < left + cells && Math.floor(cell / 12) >= top && Math.floor(cell / 12) < top + cells);
  const total = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  expect(roi.boxes).toEqual([{ ...roi.region.crop, score: expect.closeTo(total(under) / total(relative), 5) }]);
});

test("a threshold is a part of the greatest attention, whichever its sign; always looks at the likeliest place", async () => {
  const { image, question } = first;
  const ask = (threshold?: number) => model.predictRoI(image, question, { method: "attention", threshold });
  const [usual, same, most, minusMost, none] = [await ask(), await ask(0.2), await ask(0.9), await ask(-0.9), await ask(1)];
  expect(fixed(same)).toEqual(fixed(usual));
  expect(fixed(minusMost)).toEqual(fixed(most));
  // the box is around the cells above the threshold, of 84 pixels each
  for (const [{ map, boxes }, threshold] of [[usual, 0.2], [most, 0.9]] as const) {
    const above = Array.from(map.data.keys()).filter((cell) => map.data[cell] > threshold);
    const [columns, rows] = [above.map((cell) => cell % 12), above.map((cell) => Math.floor(cell / 12))];
    const [x, y] = [Math.min(...columns), Math.min(...rows)];
    expect(boxes).toMatchObject([{ x: 84 * x, y: 84 * y, width: 84 * (Math.max(...columns) + 1 - x), height: 84 * (Math.max(...rows) + 1 - y) }]);
  }
  expect(most.boxes[0].width * most.boxes[0].height).toBeLessThan(usual.boxes[0].width * usual.boxes[0].height);
  expect([none.found, none.boxes, none.region.kind]).toEqual([false, [], "none"]);

  const { roi, usedRoI } = await model.answer(image, question, { method: "attention", threshold: 1, roi: "always" });
  expect([roi!.found, usedRoI]).toEqual([false, true]);
  const [peak, crop] = [roi!.map.data.indexOf(1), roi!.region.crop!];
  const [x, y] = [84 * ((peak % 12) + 0.5), 84 * (Math.floor(peak / 12) + 0.5)];
  expect(x > crop.x && x < crop.x + crop.width && y > crop.y && y < crop.y + crop.height).toBe(true);
  expect(Math.max(crop.width, crop.height)).toBe(252); // 3 cells, but for those beyond the border
});

test("sessions and overlapping calls give what each call gives alone", async () => {
  const alone = new Map<string, object>();
  for (const method of METHODS) {
    alone.set(method, fixed(await model.predictRoI(first.image, first.question, { method })));
  }
  const session = await model.open(first.image);
  const other = model.predictRoI(second.image, second.question, { method: "attention" });
  const together = await Promise.all(METHODS.flatMap((method) => [session.predictRoI(first.question, { method }), model.predictRoI(first.image, first.question, { method })]));
  await other;
  const near = (roi: RoI): object => ({ ...fixed(roi), boxes: roi.boxes.map((box) => ({ ...box, score: expect.closeTo(box.score, 3) })), boxesNormalized: expect.anything(), map: Array.from(roi.map.data, (value) => expect.closeTo(value, 2)) });
  together.forEach((roi) => expect(alone.get(roi.method)).toEqual(near(roi)));
  await session.dispose();
});

test("the time of looking is in prefill and generate, and what the region cost is in roi.timings", async () => {
  for (const method of ["attention", "vicrop"] as const) {
    const { roi, timings } = await model.answer(first.image, second.question, { method });
    expect(roi!.timings.rpn).toBe(0);
    expect(roi!.timings.generate).toBeGreaterThan(0);
    expect(timings.generate).toBeGreaterThan(roi!.timings.generate);
    expect(timings.total).toBeGreaterThanOrEqual(timings.generate + timings.prefill);
  }
});

describe("without a network", () => {
  let plain: Model;
  let withHeads: Model;
  beforeAll(async () => {
    plain = await loadModel({ model: lm, mmproj });
    withHeads = await loadModel({ model: lm, mmproj, heads: file("heads.json", headsOf({})) });
  });
  afterAll(() => Promise.all([plain.dispose(), withHeads.dispose()]));
  const { image, question, answer } = first;

  test("a named method needs none, whichever roi is asked for", async () => {
    expect((await plain.predictRoI(image, question, { method: "vicrop" })).found).toBe(true);
    for (const roi of ["auto", "always"] as const) {
      expect(await plain.answer(image, question, { method: "vicrop", roi })).toMatchObject({ text: answer, usedRoI: true, roi: { method: "vicrop" } });
    }
    const events = [];
    for await (const event of plain.answerStream(image, question, { method: "vicrop" })) events.push(event.type);
    expect([events[0], events.at(-1)]).toEqual(["roi", "done"]);
  });

  test("loaded heads make attention what predictRoI and always take; auto stays the plain answer", async () => {
    expect(withHeads.info).toMatchObject({ rpn: null, heads: { grounding: [[3, 0], [3, 2], [4, 1]], sink: [] } });
    expect((await withHeads.predictRoI(image, question)).method).toBe("attention");
    expect(await withHeads.answer(image, question, { roi: "always" })).toMatchObject({ text: answer, roi: { method: "attention" } });
    expect(await withHeads.answer(image, question)).toMatchObject({ usedRoI: false, roi: null });
    expect(fixed(await withHeads.predictRoI(image, question))).toEqual(fixed(await model.predictRoI(image, question, { method: "attention" })));
  });

  test("what is missing is told", async () => {
    const refused = (method?: RegionMethod) => expect(plain.predictRoI(image, question, { method })).rejects;
    await refused().toMatchObject({ code: "RPN_NOT_LOADED", message: expect.stringContaining('method "vicrop"') });
    await refused("rpn").toMatchObject({ code: "RPN_NOT_LOADED" });
    await expect(withHeads.predictRoI(image, question, { method: "rpn" })).rejects.toMatchObject({ code: "RPN_NOT_LOADED" });
    await refused("attention").toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/`sd-rpn heads --out heads\.json`.*the preset "demo"/) });
    await expect(plain.answer(image, question, { roi: "always" })).rejects.toMatchObject({ code: "RPN_NOT_LOADED" });
    expect(plain.info.heads).toBeNull();
  });
});

test("options that have no effect are refused, and the next call works", async () => {
  const { image, question } = first;
  const refused = (options: object) => expect(model.answer(image, question, options)).rejects;
  await refused({ method: "vicrop", roi: "never" }).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining('received "never"') });
  await refused({ method: "rpn", roi: [{ x: 0, y: 0, width: 9, height: 9 }] }).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("boxes") });
  await refused({ method: "vicrop", threshold: 0.2 }).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("no threshold") });
  await expect(model.predictRoI(image, question, { method: "vicrop", threshold: 0 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await refused({ method: "atention" }).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("attention") });
  expect(await model.answer(image, question)).toMatchObject({ text: first.answer, roi: { method: "rpn" } });
});

test.each(["attention", "vicrop"] as const)("%s: aborting or disposing ends it, and the next call is right", async (method) => {
  const { image, question } = first;
  const before = fixed(await model.predictRoI(image, question, { method }));
  for (const delay of [0, 2, 5, 10]) {
    const controller = new AbortController();
    const call = model.answer(image, `${question} ${"And so on. ".repeat(5)}`, { method, signal: controller.signal });
    setTimeout(() => controller.abort(), delay);
    await expect(call).rejects.toMatchObject({ code: "ABORTED" });
  }
  const session = await model.open(image);
  const calls = [session.predictRoI(question, { method }), session.answer(question, { method })];
  void session.dispose();
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: "DISPOSED" });
  await expect(model.predictRoI(image, "word ".repeat(3000), { method })).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  expect(fixed(await model.predictRoI(image, question, { method }))).toEqual(before);
});

describe("a file of heads", () => {
  const load = (heads: string) => expect(loadModel({ model: lm, mmproj, heads })).rejects;
  const other = { name: "llava", architecture: "llama", layers: 32, heads: 32, embeddingLength: 4096, grid: { width: 24, height: 24 } };

  test("of another model, or none at all, is a typed error", async () => {
    await load(file("other.json", headsOf({ model: other }))).toMatchObject({ code: "DATA_INVALID", file: join(folder, "other.json"), message: expect.stringContaining("layers 32 instead of 6") });
    await load(file("range.json", headsOf({ chosen: { grounding: [[6, 0]], sink: [] } }))).toMatchObject({ code: "INVALID_ARGUMENT" });
    await load(file("none.json", headsOf({ chosen: { grounding: [], sink: [] } }))).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("chosen.grounding") });
    await load(file("text.json", "no JSON")).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("`sd-rpn heads --out`") });
    await load(join(folder, "missing.json")).toMatchObject({ code: "IO_ERROR" });
    await load("llava-1.5-7b").toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("32 layers of 32 heads") });
    await load("").toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("is read before the model is, whose path may be wrong too", async () => {
    await expect(loadModel({ model: join(folder, "none.gguf"), mmproj, heads: join(folder, "missing.json") })).rejects.toMatchObject({ code: "IO_ERROR" });
  });
});
