import { type AnswerOptions, distill, loadModel, type Model } from "../../src/index";
import { weigh } from "../../src/answer/choose";
import { demoQuestions } from "../helpers/demo";

const [first, second, third] = demoQuestions("object");
const { image, question, answer: truth } = first;
const coarse = demoQuestions("coarse");
const shapes = [...new Set(coarse.map(({ answer }) => answer))];
let model: Model;
beforeAll(async () => {
  model = await loadModel({ parallel: 3 });
});
afterAll(() => model.dispose());

test("of the shapes the right one is the likeliest", async () => {
  for (const { image, question, answer } of coarse) {
    const chosen = await model.answer(image, question, { choices: shapes, roi: "never" });
    expect(chosen).toMatchObject({ text: answer, finishReason: "stop", usedRoI: false });
    expect(chosen.choices!.map(({ text }) => text)).toEqual(shapes);
  }
});

test("probabilities sum to 1, confidence is that of the text, and they are the softmax of the logprobs", async () => {
  const { text, choices, confidence, usage } = await model.answer(image, question, { choices: [truth, truth.slice(0, 2), "Z0S", "star"] });
  expect(text).toBe(truth);
  expect(choices!.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
  const best = choices!.reduce((a, b) => (b.probability > a.probability ? b : a));
  expect([best.text, best.probability]).toEqual([text, confidence]);
  for (const { probability, logprob } of choices!) {
    expect(Math.log(probability / best.probability)).toBeCloseTo(logprob - best.logprob, 9);
    expect(logprob).toBeLessThan(0);
  }
  expect(usage.roiTokens).toBeGreaterThan(0); // a second look was read
  expect(confidence).toBeGreaterThan(0.9);
});

// the attention's pass decodes in a context of its own, token by token
test("a choice's logprob is what distill.attention says of the same answer, end included", async () => {
  const { text, tokens, logLikelihood } = await distill.attention(model, image, question, { layers: [0] });
  const { choices, usage } = await model.answer(image, question, { choices: [text, "no"], roi: "never" });
  expect(choices![0].logprob).toBeCloseTo(logLikelihood * tokens.length, 1);
  expect(usage.completionTokens).toBeGreaterThan(tokens.length - 1);
  const likeliest = await model.answer(image, question, { choices: [...shapes, text, "S", "Z9"], roi: "never" });
  expect(likeliest.text).toBe(text);
});

test("a choice that others begin with is not the likelier for being shorter", async () => {
  const { text, choices } = await model.answer(image, question, { choices: [truth[0], truth.slice(0, 2), truth] });
  expect(text).toBe(truth);
  expect(choices![0].probability).toBeLessThan(0.01);
});

test("weighing: equal ones share, far ones vanish, and nothing overflows", () => {
  const probabilities = (...logprobs: number[]) => weigh(logprobs.map(String), logprobs).map(({ probability }) => probability);
  expect(probabilities(-3, -3)).toEqual([0.5, 0.5]);
  expect(probabilities(-5000, -5000 + Math.log(3))).toEqual([expect.closeTo(0.25, 9), expect.closeTo(0.75, 9)]);
  expect(probabilities(-1, -2000)).toEqual([1, 0]);
});

test("the prefix is reused; together with answers that are written; in sessions and streams", async () => {
  const choices = ["yes", "no", truth];
  const written = (await model.answer(second.image, second.question)).text;
  const alone = await model.answer(image, question, { choices });
  const [chosen, beside, other] = await Promise.all([
    model.answer(image, question, { choices }),
    model.answer(second.image, second.question),
    model.answer(third.image, third.question, { choices: shapes }),
  ]);
  expect([chosen.text, beside.text]).toEqual([alone.text, written]);
  expect(other.choices).toHaveLength(shapes.length);

  await using session = await model.open(image);
  await session.answer(question, { choices, roi: "never" });
  const again = await session.answer(question, { choices, roi: "never" });
  expect(again.usage.reusedTokens).toBeGreaterThan(144);
  const pieces: string[] = [];
  const events: string[] = [];
  for await (const event of session.answerStream(question, { choices, onToken: (piece) => pieces.push(piece) })) {
    events.push(event.type === "text" ? event.text : event.type);
  }
  expect(events).toEqual(["roi", alone.text, "done"]);
  expect(pieces).toEqual([alone.text]);
});

test("texts of every kind: long ones, many, control tokens as plain text, other scripts", async () => {
  const kinds = ["a".repeat(300), "</s>", "<image>", "<0x0A>", "é€😀", "two words", "\"quoted\"", "1", "12", ...Array.from({ length: 100 }, (_, i) => `number ${i}`)];
  const { choices } = await model.answer(image, question, { choices: kinds, roi: "never" });
  expect(choices!.map(({ text }) => text)).toEqual(kinds);
  expect(choices!.every(({ logprob }) => Number.isFinite(logprob) && logprob < 0)).toBe(true);
});

test.each<[AnswerOptions, string]>([
  [{ choices: [] }, "array of text without white space at its ends with at least 2"],
  [{ choices: ["one"] }, "at least 2"],
  [{ choices: ["a", ""] }, "text without white space at its ends for choices[1]"],
  [{ choices: ["a", " b"] }, "for choices[1] but received  b"],
  [{ choices: ["a", "b", "a"] }, "different texts for choices but received a"],
  [{ choices: Array.from({ length: 257 }, String) }, "at most 256"],
  [{ choices: "ab" as unknown as string[] }, "array of text"],
  ...(
    [{ maxTokens: 5 }, { temperature: 0 }, { topP: 1 }, { topK: 0 }, { seed: 1 }, { stop: "x" }, { grammar: "root ::= \"a\"" }, { logprobs: true }] as AnswerOptions[]
  ).map((other): [AnswerOptions, string] => [{ choices: ["a", "b"], ...other }, `no ${Object.keys(other)[0]} beside choices`]),
  [{ choices: ["a", "b"], format: { type: "json", schema: {} } }, "no format beside choices"],
])("%j is refused before the picture is read", async (options, message) => {
  const call = model.answer("missing.png", question, options);
  await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
});

test("choices too long for the context are refused before the picture is read", async () => {
  const long = model.answer("missing.png", question, { choices: ["x y".repeat(5000), "a"] });
  await expect(long).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW", message: expect.stringContaining("longest choice") });
  await using small = await loadModel({ contextSize: 400 });
  const few = ["Q".repeat(30), "X"];
  expect((await small.answer(image, question, { choices: few })).choices).toHaveLength(2);
  // that a second look may be read as well, which takes 144 tokens, is known before
  await expect(small.answer("missing.png", question, { choices: ["Q".repeat(200), "X"] })).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  expect((await small.answer(image, question, { choices: ["Q".repeat(200), "X"], roi: "never" })).text).toBe("X");
});

test("an abort and the end of the model in the midst of it; the next call is right", async () => {
  const many = Array.from({ length: 256 }, (_, i) => `a long choice with the number ${i}`);
  const stop = new AbortController();
  const aborted = model.answer(image, question, { choices: many, signal: stop.signal });
  setTimeout(() => stop.abort(), 30);
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
  expect((await model.answer(image, question, { choices: ["no", truth] })).text).toBe(truth);

  const other = await loadModel();
  const ended = other.answer(image, question, { choices: many });
  setTimeout(() => void other.dispose(), 30);
  await expect(ended).rejects.toMatchObject({ code: "DISPOSED" });

  const mine = new Error("mine");
  await expect(model.answer(image, question, { choices: ["a", "b"], onToken: () => { throw mine; } })).rejects.toBe(mine);
});
