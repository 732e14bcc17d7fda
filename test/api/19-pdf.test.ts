// Questions about a page of a PDF have the answers and the regions of the same picture as PNG.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { batch, batchFile, type BatchLine, loadModel, type Model, type RoI } from "../../src/index";
import { demoQuestions } from "../helpers/demo";
import { pageOf, pdfOf } from "../helpers/pdf";

const [{ image, question }] = demoQuestions();
const SIDE = 1008;
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-pdf-"));

let model: Model;
let pdf: Buffer;
let whole: RoI;
beforeAll(async () => {
  model = await loadModel();
  const rgb = await sharp(image).raw().toBuffer();
  const cover = { width: 300, height: 300, content: "0 0 1 rg 0 0 300 300 re f" };
  pdf = pdfOf([cover, pageOf({ width: SIDE, height: SIDE, rgb }, 200), pageOf({ width: SIDE, height: SIDE, jpeg: readFileSync(image) }, 200)]);
  whole = await model.predictRoI(image, question);
  expect(whole.found).toBe(true);
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await model.dispose();
});

const mapDifference = (a: RoI): number => Math.max(...a.map.data.map((value, cell) => Math.abs(value - whole.map.data[cell])));

test.each([
  ["the picture's own pixels", 1, 0],
  ["a JPEG, which PDFium decodes itself", 2, 0.05],
])("%s: the same region", async (_, page, difference) => {
  const roi = await model.predictRoI(pdf, question, { page });
  expect(roi.image).toEqual({ width: SIDE, height: SIDE, page, pages: 3, rotated: 0, dpi: 200 });
  expect(mapDifference(roi)).toBeLessThanOrEqual(difference);
  expect(roi.boxes.map(({ score: _score, ...box }) => box)).toEqual(whole.boxes.map(({ score: _score, ...box }) => box));
  expect(roi.region).toEqual(whole.region);
});

test("with twice as many pixels to the inch the boxes are at the same place of the page", async () => {
  const roi = await model.predictRoI(pdf, question, { page: 1, dpi: 400 });
  expect(roi.image).toMatchObject({ width: 2 * SIDE, height: 2 * SIDE, dpi: 400 });
  const places = (from: RoI) => from.boxesNormalized.map(({ x, y }) => [x.toFixed(2), y.toFixed(2)]);
  expect(places(roi)).toEqual(places(whole));
});

test("answers, streams, sessions and several pictures read pages; the next call is about its own", async () => {
  const reading = { page: 1 };
  const { text } = await model.answer(image, question);
  const answer = await model.answer(pdf, question, reading);
  expect([answer.text, answer.image.page, answer.image.pages, answer.usedRoI]).toEqual([text, 1, 3, true]);
  const session = await model.open(pdf, { page: 1, dpi: 200 });
  expect((await session.answer(question)).text).toBe(text);
  await expect(session.answer(question, { dpi: 100 } as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await session.dispose();
  for await (const event of model.answerStream(pdf, question, reading)) {
    if (event.type === "done") expect(event.answer.text).toBe(text);
  }
  const both = await model.answer([pdf, pdf], question, { ...reading, maxTokens: 4 });
  expect(both.pictures!.map(({ image: { page } }) => page)).toEqual([1, 1]);
  expect((await model.predictRoI(pdf, question)).image.page).toBe(0);
  expect((await model.answer(image, question)).text).toBe(text);
});

test("a batch has pages, and its overlays show them; a picture with pixels of its own is an item that failed", async () => {
  const items = [{ image: pdf }, { image }];
  const results = [];
  for await (const result of batch(model, items, { question, page: 1, dpi: 200 })) results.push(result);
  expect(results.map(({ answer, error }) => error?.code ?? answer!.image.page)).toEqual([1, "INVALID_ARGUMENT"]);

  writeFileSync(join(folder, "scan.pdf"), pdf);
  const [out, overlay] = [join(folder, "out.jsonl"), join(folder, "seen")];
  await batchFile(model, { data: folder, question, out, overlay, page: 1, dpi: 100 });
  const [{ image: name, answer }] = readFileSync(out, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as BatchLine);
  expect([name, answer!.image]).toEqual(["scan.pdf", { width: SIDE / 2, height: SIDE / 2, page: 1, pages: 3, rotated: 0, dpi: 100 }]);
  expect(await sharp(readFileSync(join(overlay, "scan.pdf.png"))).metadata()).toMatchObject({ width: SIDE / 2, height: SIDE / 2 });
});
