import { distill, loadModel, type Model, type SdRpnError } from "../../src";
import { demoQuestions } from "../helpers/demo";

const [object] = demoQuestions("object");
let model: Model;
beforeAll(async () => (model = await loadModel()));
afterAll(() => model.dispose());

const sum = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);

test("maps of every layer and head, the answer and its likelihood", async () => {
  const plain = await model.answer(object.image, object.question, { roi: "never" });
  const a = await distill.attention(model, object.image, object.question, { question: true });
  expect(a).toMatchObject({ layers: [0, 1, 2, 3, 4, 5], heads: 4, grid: { width: 12, height: 12 }, text: plain.text });
  expect(a.tokens).toHaveLength(plain.usage.completionTokens + 1); // the end token
  expect(a.logLikelihood).toBeLessThan(0);
  for (const maps of [a.output, a.question!]) {
    expect(maps).toBeInstanceOf(Float32Array);
    expect(maps).toHaveLength(6 * 4 * 144);
    for (let k = 0; k < 24; k++) {
      const map = maps.subarray(k * 144, (k + 1) * 144);
      expect(map.every((value) => value >= 0)).toBe(true);
      expect(sum(map)).toBeLessThanOrEqual(1.0001);
    }
  }
  // head (4, 0) points at what is asked for (demo/README.md)
  const map = a.output.subarray(16 * 144, 17 * 144);
  const peak = map.indexOf(Math.max(...map));
  const [x, y] = [((peak % 12) + 0.5) * 84, (Math.floor(peak / 12) + 0.5) * 84];
  const [x0, y0, x1, y1] = object.box;
  expect(x > x0 - 42 && x < x1 + 42 && y > y0 - 42 && y < y1 + 42).toBe(true);
});

test("asked layers only, from a session, are the same numbers; one token gives the last prompt token's row", async () => {
  const all = await distill.attention(model, object.image, object.question);
  expect(all.question).toBeNull();
  const session = await model.open(object.image);
  const some = await distill.attention(session, object.question, { layers: [4, 2] });
  expect(some.layers).toEqual([4, 2]);
  expect(some.output.subarray(0, 576)).toEqual(all.output.subarray(4 * 576, 5 * 576));
  expect(some.output.subarray(576)).toEqual(all.output.subarray(2 * 576, 3 * 576));
  const one = await distill.attention(session, object.question, { layers: [4], maxTokens: 1 });
  expect(one.tokens).toEqual(all.tokens.slice(0, 1));
  expect(one.output).not.toEqual(some.output.subarray(0, 576));
  await session.dispose();
});

test("calls overlap with answers and with each other, and nothing changes", async () => {
  const questions = demoQuestions().slice(0, 6);
  const alone = [];
  for (const { image, question } of questions) {
    alone.push((await distill.attention(model, image, question, { layers: [3] })).output);
  }
  const answers = questions.map(({ image, question }) => model.answer(image, question));
  const together = await Promise.all(questions.map(({ image, question }) => distill.attention(model, image, question, { layers: [3] })));
  expect(together.map(({ output }) => output)).toEqual(alone);
  await Promise.all(answers);
});

test.each<[string, unknown[], RegExp]>([
  ["a layer that is not there", ["q", { layers: [0, 6] }], /Expected layers between 0 and 5, each once, for layers but received 6/],
  ["a layer twice", ["q", { layers: [2, 2] }], /each once/],
  ["no layer", ["q", { layers: [] }], /at least 1/],
  ["no token", ["q", { maxTokens: 0 }], /maxTokens/],
  ["an empty question", [" "], /non-empty string for question/],
  ["an unknown option", ["q", { layer: [1] }], /did you mean layers/],
])("INVALID_ARGUMENT: %s", async (_name, [question, options], message) => {
  const call = distill.attention(model, object.image, question as string, options as object);
  await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
});

test("no model, a question that does not fit, an abort, a disposed model: typed errors, and the next call works", async () => {
  await expect(distill.attention({} as Model, object.image, "q")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(distill.attention(model, object.image, "word ".repeat(4000))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await expect(distill.attention(model, object.image, "q", { signal: AbortSignal.abort("enough") })).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
  // at work: the later ones may be done by then, the first ones not
  const ends: string[] = [];
  for (const ms of [0, 2, 5, 10, 30]) {
    const controller = new AbortController();
    const aborted = distill.attention(model, object.image, object.question, { signal: controller.signal });
    setTimeout(() => controller.abort(), ms);
    ends.push(await aborted.then(() => "done", (error: unknown) => `${(error as SdRpnError).name} ${(error as SdRpnError).code}`));
  }
  expect(ends[0]).toBe("AbortError ABORTED");
  expect(ends.filter((end) => end !== "AbortError ABORTED" && end !== "done")).toEqual([]);
  expect(ends.filter((end) => end !== "done").length).toBeGreaterThanOrEqual(2);
  expect((await distill.attention(model, object.image, object.question)).tokens.length).toBeGreaterThan(1);

  const other = await loadModel();
  const session = await other.open(object.image);
  const calls = Array.from({ length: 5 }, () => distill.attention(session, object.question).catch((error: unknown) => (error as SdRpnError).code));
  await other.dispose();
  expect(await Promise.all(calls)).toEqual(Array(5).fill("DISPOSED"));
  await expect(distill.attention(session, object.question)).rejects.toMatchObject({ code: "DISPOSED" });
});
