import { types } from "node:util";
import sharp from "sharp";
import { type Answer, type AnswerEvent, distill, loadModel, type Model, normalizedBox, type RoI } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const { image, question, answer: right } = demoQuestions()[0];
let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

/** Whether everything in a value parsed from JSON is what the result has, typed arrays being arrays. */
function expectSame(parsed: unknown, result: object): void {
  const expected = JSON.parse(JSON.stringify(result, (_, part: unknown) => (part instanceof Float32Array ? Array.from(part) : part))) as unknown;
  expect(parsed).toEqual(expected);
}

test("JSON has arrays of numbers in the place of typed arrays", async () => {
  const roi = await model.predictRoI(image, question);
  const parsed = JSON.parse(JSON.stringify(roi)) as RoI;
  expect(Array.isArray(parsed.map.data)).toBe(true);
  expect(parsed.map.data).toEqual([...roi.map.data]);
  expect(parsed.boxes).toEqual(roi.boxes);

  const answer = await model.answer(image, question);
  const again = JSON.parse(JSON.stringify({ results: [answer] })) as { results: Answer[] };
  expect(again.results[0].roi!.map.data).toEqual([...answer.roi!.map.data]);
  expect(again.results[0].text).toBe(right);
  expect(answer.toJSON().roi!.map.data).toEqual([...answer.roi!.map.data]);
  // parts of a result, and copies of it, are turned into JSON alike
  expect(JSON.parse(JSON.stringify(roi.map))).toEqual({ width: 12, height: 12, data: [...roi.map.data] });
  expectSame(JSON.parse(JSON.stringify({ ...roi })), roi);

  const attention = await distill.attention(model, image, question, { layers: [1], maxTokens: 2 });
  expect((JSON.parse(JSON.stringify(attention)) as { output: number[] }).output).toEqual([...attention.output]);
});

test("a result stays a plain object: it can be cloned and compared", async () => {
  const roi = await model.predictRoI(image, question);
  const clone = structuredClone(roi);
  expect(clone).toEqual({ ...roi });
  expect(types.isFloat32Array(clone.map.data)).toBe(true);
  expect(Object.keys(roi)).not.toContain("toJSON");
});

test("events of a stream have it too", async () => {
  const events: AnswerEvent[] = [];
  for await (const event of model.answerStream(image, question)) events.push(event);
  const [first] = events;
  const last = events[events.length - 1];
  if (first.type !== "roi" || last.type !== "done") throw new Error("a region comes first, the answer last");
  expect((JSON.parse(JSON.stringify(first)) as { roi: RoI }).roi.map.data).toEqual([...first.roi.map.data]);
  expect((JSON.parse(JSON.stringify(last)) as { answer: Answer }).answer.roi!.map.data).toHaveLength(144);
});

test("the picture's size and page come with the result, and boxes in parts of it", async () => {
  const wide = await sharp({ create: { width: 1500, height: 1008, channels: 3, background: "white" } }).composite([{ input: image, left: 0, top: 0 }]).png().toBuffer();
  const roi = await model.predictRoI(wide, question, { threshold: -0.5 });
  expect(roi.image).toEqual({ width: 1500, height: 1008, page: 0, pages: 1, rotated: 0 });
  expect(roi.boxes.length).toBeGreaterThan(0);
  expect(roi.boxesNormalized).toEqual(roi.boxes.map(({ x, y, width, height, score }) => ({ x: x / 1500, y: y / 1008, width: width / 1500, height: height / 1008, score })));
  expect(normalizedBox({ x: 750, y: 252, width: 375, height: 504 }, roi.image)).toEqual({ x: 0.5, y: 0.25, width: 0.25, height: 0.5 });

  const plain = await model.answer(wide, question, { roi: "never", maxTokens: 1 });
  expect([plain.roi, plain.image]).toEqual([null, roi.image]);
});

test("a result is the caller's own: changing it changes no later one", async () => {
  const session = await model.open(image);
  const [roi, answer] = [await session.predictRoI(question), await session.answer(question)];
  roi.image.width = 1;
  answer.image.height = 1;
  answer.roi!.image.width = 1;
  const [again, later] = [await session.predictRoI(question), await session.answer(question)];
  expect([again.image, later.image, later.roi!.image].map(({ width, height }) => [width, height])).toEqual(Array(3).fill([1008, 1008]));
  await session.dispose();
});

test("an aborted answer has the picture as well", async () => {
  const controller = new AbortController();
  const call = model.answer(image, question, { roi: "never", maxTokens: 800, temperature: 5, seed: 1, signal: controller.signal, onToken: () => controller.abort() });
  const error = await call.then(() => undefined, (reason: unknown) => reason as { answer?: Answer });
  expect(error?.answer?.image).toEqual({ width: 1008, height: 1008, page: 0, pages: 1, rotated: 0 });
});

describe('roi "always"', () => {
  test("says where it looked, also where nothing passes the threshold", async () => {
    const { roi, usedRoI } = await model.answer(image, question, { roi: "always", threshold: 1 });
    expect([usedRoI, roi!.found, roi!.boxes, roi!.region.kind]).toEqual([true, false, [], "crop"]);
    // three of twelve cells along either side of a picture of 1008 pixels, around the map's maximum
    const { x, y, width, height } = roi!.region.crop!;
    expect([width, height, x % 84, y % 84]).toEqual([252, 252, 0, 0]);
    // the same region, asked for as a box, gives the same answer
    const told = await model.answer(image, question, { roi: [roi!.region.crop!] });
    const looked = await model.answer(image, question, { roi: "always", threshold: 1 });
    expect(told.text).toBe(looked.text);
    expect(told.usage.roiTokens).toBe(looked.usage.roiTokens);
  });

  test("does not change what predictRoI and auto say", async () => {
    const asked = await model.predictRoI(image, question, { threshold: 1 });
    const auto = await model.answer(image, question, { threshold: 1 });
    const none = { kind: "none", crop: null, keep: null, view: null };
    expect([asked.region, auto.roi!.region, auto.usedRoI]).toEqual([none, none, false]);
    const found = await model.answer(image, question, { roi: "always" });
    expect([found.roi!.found, found.roi!.region]).toEqual([true, (await model.predictRoI(image, question)).region]);
  });
});

describe("white space around a question", () => {
  const padded = ` ${question}\n`;

  test("is taken off: the same map, tokens and answer", async () => {
    const [trimmed, given] = await Promise.all([model.answer(image, padded), model.answer(image, question)]);
    expect([trimmed.text, trimmed.usage.promptTokens]).toEqual([given.text, given.usage.promptTokens]);
    const [map, other] = [await model.predictRoI(image, padded), await model.predictRoI(image, question)];
    expect(map.map.data).toEqual(other.map.data);
    const options = { layers: [1], maxTokens: 1 };
    const attention = await distill.attention(model, image, padded, options);
    expect(attention.output).toEqual((await distill.attention(model, image, question, options)).output);
  });

  test("stays with exact", async () => {
    const [exact, given] = [await model.answer(image, padded, { exact: true }), await model.answer(image, question, { exact: true })];
    expect(exact.usage.promptTokens).toBeGreaterThan(given.usage.promptTokens);
    const [map, other] = [await model.predictRoI(image, padded, { exact: true }), await model.predictRoI(image, question)];
    expect(map.map.data).not.toEqual(other.map.data);
    const options = { layers: [1], maxTokens: 1 };
    const attention = await distill.attention(model, image, padded, { ...options, exact: true });
    expect(attention.output).not.toEqual((await distill.attention(model, image, question, options)).output);
  });

  test("in sessions and streams alike, and nothing but white space is no question", async () => {
    const session = await model.open(image);
    expect((await session.predictRoI(padded)).map.data).toEqual((await session.predictRoI(question)).map.data);
    let done: Answer | undefined;
    for await (const event of session.answerStream(padded)) if (event.type === "done") done = event.answer;
    expect(done!.usage.promptTokens).toBe((await session.answer(question)).usage.promptTokens);
    await expect(model.answer(image, " \n", { exact: true })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await session.dispose();
  });
});
