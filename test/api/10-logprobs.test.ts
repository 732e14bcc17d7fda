import { distill, loadModel, type Model, type SdRpnError, type TokenLogprobs } from "../../src/index";
import { confidenceOf } from "../../src/answer/confidence";
import { demoQuestions } from "../helpers/demo";

const [{ image, question }, other] = demoQuestions("object");
let model: Model;
beforeAll(async () => {
  model = await loadModel({ parallel: 2 });
});
afterAll(() => model.dispose());

const sum = (tokens: readonly { logprob: number }[]): number => tokens.reduce((total, { logprob }) => total + logprob, 0);

test("each token has its probability and the likeliest in its place", async () => {
  const plain = await model.answer(image, question);
  expect("logprobs" in plain || "confidence" in plain).toBe(false);
  const answer = await model.answer(image, question, { logprobs: 20 });
  expect(answer.text).toBe(plain.text);
  const tokens = answer.logprobs!;
  expect(tokens.length).toBe(answer.usage.completionTokens);
  expect(tokens.map(({ text }) => text).join("").trim()).toBe(answer.text);
  for (const { id, text, logprob, top } of tokens) {
    expect(top).toHaveLength(20);
    expect(top[0]).toEqual({ id, text, logprob }); // greedy
    const probabilities = top.map((t) => Math.exp(t.logprob));
    expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a));
    expect(new Set(top.map((t) => t.id)).size).toBe(20);
    expect(probabilities.reduce((a, b) => a + b)).toBeLessThanOrEqual(1 + 1e-9);
  }
  expect(answer.confidence).toBeCloseTo(tokens.reduce((product, { logprob }) => product * Math.exp(logprob), 1) ** (1 / tokens.length), 10);
});

test("true gives no alternatives, false none of it", async () => {
  const answer = await model.answer(image, question, { logprobs: true, roi: "never" });
  expect(answer.logprobs!.every(({ top }) => top.length === 0)).toBe(true);
  expect(answer.confidence).toBeGreaterThan(0);
  expect(await model.answer(image, question, { logprobs: false, roi: "never" })).not.toHaveProperty("logprobs");
});

// the attention's pass decodes in a context of its own, without flash attention
test("they sum to what distill.attention says of the same answer", async () => {
  const { tokens, logLikelihood } = await distill.attention(model, image, question, { layers: [0] });
  const answer = await model.answer(image, question, { roi: "never", logprobs: true, maxTokens: tokens.length - 1 });
  expect(answer.logprobs!.map(({ id }) => id)).toEqual(tokens.slice(0, -1));
  const cut = await distill.attention(model, image, question, { layers: [0], maxTokens: tokens.length - 1 });
  expect(sum(answer.logprobs!) / answer.logprobs!.length).toBeCloseTo(cut.logLikelihood, 2);
  expect(logLikelihood).not.toBe(cut.logLikelihood); // the end token has a part in it
});

test("neither temperature nor company changes the first token's alternatives", async () => {
  const first = ({ logprobs }: { logprobs?: TokenLogprobs[] }) => logprobs![0].top;
  const options = { roi: "never", logprobs: 5 } as const;
  const greedy = first(await model.answer(image, question, options));
  const [sampled, beside] = await Promise.all([
    model.answer(image, question, { ...options, temperature: 2, topK: 3, topP: 0.9, seed: 3 }),
    model.answer(other.image, other.question, options),
  ]);
  expect(first(sampled)).toEqual(greedy);
  expect(first(beside)).not.toEqual(greedy);
});

test("streams and sessions have them in the whole answer; an aborted answer's error too", async () => {
  await using session = await model.open(image);
  let streamed: TokenLogprobs[] | undefined;
  for await (const event of session.answerStream(question, { roi: "never", logprobs: 2 })) {
    if (event.type === "done") streamed = event.answer.logprobs;
  }
  const plain = (await model.answer(image, question, { roi: "never", logprobs: 2 })).logprobs!;
  expect(streamed!.map(({ id }) => id)).toEqual(plain.map(({ id }) => id));
  streamed!.forEach(({ logprob }, i) => expect(logprob).toBeCloseTo(plain[i].logprob, 2));

  const stop = new AbortController();
  const aborted = model.answer(image, question, {
    ...{ roi: "never", logprobs: true, maxTokens: 800, temperature: 5, seed: 1 }, // a long one
    signal: stop.signal,
    onToken: () => stop.abort(),
  });
  const { answer } = (await aborted.catch((error: unknown) => error)) as SdRpnError;
  expect(answer!.logprobs).toHaveLength(answer!.usage.completionTokens);
  expect(answer!.confidence).toBeGreaterThan(0);
});

test("a stop string ends the text, not the list: the tokens that wrote it are in it", async () => {
  const { text } = await model.answer(image, question, { roi: "never" });
  const answer = await model.answer(image, question, { roi: "never", stop: text.slice(1), logprobs: true });
  expect(answer.text).toBe(text.slice(0, 1));
  expect(answer.logprobs!.length).toBe(answer.usage.completionTokens);
  expect(answer.logprobs!.map((t) => t.text).join("")).toContain(text);
});

test("confidence is the geometric mean, and an answer without tokens has none", () => {
  const token = (probability: number) => ({ id: 0, text: "", logprob: Math.log(probability) });
  expect(confidenceOf([token(0.5), token(0.02), token(0.1)]).confidence).toBeCloseTo(0.1, 12); // 0.5 * 0.02 * 0.1 = 0.1 ** 3
  expect(confidenceOf([])).toEqual({});
});

test.each([0, 21, 1.5, "yes", null])("%p is refused", async (logprobs) => {
  await expect(model.answer(image, question, { logprobs: logprobs as number })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringContaining("boolean or integer between 1 and 20 for logprobs"),
  });
  expect((await model.answer(image, question, { roi: "never" })).text).not.toBe("");
});
