import { loadModel, type Model } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const [first, second, third] = demoQuestions("object");
const { image, question } = first;
let model: Model;
beforeAll(async () => {
  model = await loadModel({ parallel: 3 });
});
afterAll(() => model.dispose());

const CODE = "root ::= [A-Z] [0-9] [A-Z]";
const WORDS = `
root ::= word (" " word){2}  # three words
word ::= [a-z]{2,5}`;

test.each([0, 1, 4])("at temperature %p the answer is a text of the grammar", async (temperature) => {
  for (const roi of ["auto", "never"] as const) {
    for (let seed = 0; seed < 5; seed++) {
      const code = await model.answer(image, question, { grammar: CODE, temperature, seed, roi });
      expect(code).toMatchObject({ text: expect.stringMatching(/^[A-Z][0-9][A-Z]$/), finishReason: "stop" });
      expect((await model.answer(image, question, { grammar: WORDS, temperature, seed, roi })).text).toMatch(/^[a-z]{2,5}( [a-z]{2,5}){2}$/);
    }
  }
});

test("a grammar that allows what the model says changes nothing", async () => {
  const plain = await model.answer(image, question, { logprobs: 3 });
  const under = await model.answer(image, question, { logprobs: 3, grammar: "root ::= .+" });
  expect(under.text).toBe(plain.text);
  expect(under.logprobs).toEqual(plain.logprobs);
});

test("the probabilities are those of the model, not of what the grammar leaves", async () => {
  const free = await model.answer(image, question, { logprobs: 20, roi: "never" });
  const bound = await model.answer(image, question, { logprobs: 20, roi: "never", grammar: "root ::= \"q\"" });
  expect(bound.text).toBe("q");
  bound.logprobs![0].top.forEach(({ id, logprob }, i) => {
    expect(id).toBe(free.logprobs![0].top[i].id);
    expect(logprob).toBeCloseTo(free.logprobs![0].top[i].logprob, 3);
  });
  expect(bound.confidence!).toBeLessThan(0.01);
});

test("an answer that is cut off ends with length; stop strings end one as ever", async () => {
  expect(await model.answer(image, question, { grammar: "root ::= [a-z]{40}", maxTokens: 4 })).toMatchObject({ finishReason: "length" });
  const stopped = await model.answer(image, question, { grammar: "root ::= [a-m]{3} \"-\" [a-z]{3}", stop: "-" });
  expect(stopped).toMatchObject({ text: expect.stringMatching(/^[a-m]{3}$/), finishReason: "stop" });
});

test("answers under different grammars are decoded together", async () => {
  const ask = ({ image, question }: typeof first, grammar?: string) => model.answer(image, question, { grammar, roi: "never" });
  const grammars = [CODE, WORDS, undefined];
  const alone: string[] = [];
  for (const [i, asked] of [first, second, third].entries()) {
    alone.push((await ask(asked, grammars[i])).text);
  }
  const together = await Promise.all([first, second, third].map((asked, i) => ask(asked, grammars[i])));
  expect(together.map(({ text }) => text)).toEqual(alone);
});

test("streams and sessions know it", async () => {
  await using session = await model.open(image);
  let text = "";
  for await (const event of session.answerStream(question, { grammar: CODE })) {
    if (event.type === "text") text += event.text;
  }
  expect(text).toBe((await model.answer(image, question, { grammar: CODE })).text);
});

test.each([
  ["", "non-empty string for grammar"],
  [7, "string for grammar"],
  ["root ::= (\"a\"\n| \"b\"", "in line 2: expecting ')' at the end"],
  ["roof ::= \"a\"", "no rule of the name root"],
  ["root ::= root \"a\"", "begins with itself"],
  ["root ::= <[1]>", "a token"],
  [`root ::= ${"(".repeat(1e5)}`, "groups within groups"],
  ["root ::= \"a\"{9,1}", "fewer at most"],
  [`root ::= "${"a".repeat(3e5)}"`, "at most 262144 bytes"],
])("grammar %# is refused before the picture is read", async (grammar, message) => {
  const call = model.answer("missing.png", question, { grammar: grammar as string });
  await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
  await expect(model.answer("missing.png", question, { grammar: CODE })).rejects.toMatchObject({ code: "IMAGE_INVALID" });
});

test("one that no answer can keep to, or that takes too long, fails alone; the next call is right", async () => {
  const plain = (await model.answer(second.image, second.question, { roi: "never" })).text;
  const hopeless = "root ::= [a-z]{3} \"\\x00\"";
  const ambiguous = "root ::= a\na ::= \"x\" a y | \"x\" a z | \"x\"{40}\ny ::= \"y\" | \"\"\nz ::= \"z\" | \"\"";
  const calls = [
    model.answer(image, question, { grammar: hopeless, roi: "never" }),
    model.answer(image, question, { grammar: ambiguous, roi: "never" }),
    model.answer(second.image, second.question, { roi: "never" }),
  ];
  const [a, b, c] = await Promise.allSettled(calls);
  expect(a).toMatchObject({ status: "rejected", reason: { code: "INVALID_ARGUMENT", message: expect.stringMatching(/after [1-3] tokens the model has none/) } });
  expect(b).toMatchObject({ status: "rejected", reason: { code: "INVALID_ARGUMENT", message: expect.stringContaining("too ambiguous") } });
  expect(c).toMatchObject({ status: "fulfilled", value: { text: plain } });
});

test("an abort and the end of the model in the midst of it", async () => {
  const long = "root ::= [a-z]{1500}";
  const stop = new AbortController();
  const aborted = model.answer(image, question, { grammar: long, maxTokens: 1500, roi: "never", signal: stop.signal, onToken: () => stop.abort() });
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED", answer: { text: expect.stringMatching(/^[a-z]+$/) } });
  expect((await model.answer(image, question, { grammar: CODE })).text).toMatch(/^[A-Z][0-9][A-Z]$/);

  const other = await loadModel();
  const [ended] = await Promise.allSettled([
    other.answer(image, question, { grammar: long, maxTokens: 1500, roi: "never", onToken: () => void other.dispose() }),
  ]);
  expect(ended).toMatchObject({ status: "rejected", reason: { code: "DISPOSED" } });
});
