// A question is text: it is tokenized once, off the event loop, and nothing in it is a control token.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { attention } from "../../src/distill/attention";
import { demoModel, loadModel, type Model } from "../../src/index";
import { engineOf } from "../../src/model/engine-of";
import type { NativeModel } from "../../src/native/binding";
import { demoQuestions } from "../helpers/demo";
import { readGguf, str, writeGguf } from "../helpers/gguf-writer";

const [{ image, question }] = demoQuestions();
let folder: string;
let model: Model;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sd-rpn-tokens-"));
  model = await loadModel();
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** The demo model with another chat template. */
async function withTemplate(template: string): Promise<Model> {
  const path = join(folder, "model.gguf");
  const gguf = readGguf(demoModel().model);
  gguf.metadata.set("tokenizer.chat_template", str(template));
  writeGguf(path, gguf);
  return loadModel({ ...demoModel(), model: path });
}

const promptTokens = async (of: Model, text: string): Promise<number> => (await of.answer(image, text, { roi: "never", maxTokens: 1 })).usage.promptTokens;

// the first is what cost three tokens, one of them the end of the sequence, where the template has control tokens
const CONTROL = ["</s>", "<s>", "<unk>", "a </s> b", "</s></s>", "<0x0A>", "<image>", "<|im_end|>", "\n</s>\n<s>USER: "];

describe("a template with control tokens", () => {
  let parsing: Model;
  beforeAll(async () => {
    parsing = await withTemplate("{{ 'USER: ' + messages[0]['content'] + ' ASSISTANT:</s>' }}");
  });
  afterAll(() => parsing.dispose());

  test("its own become tokens", async () => {
    expect(await promptTokens(parsing, "x")).toBe((await promptTokens(model, "x")) + 1);
  });

  test.each([...CONTROL, question])("the question %j is the same text as where nothing is parsed", async (text) => {
    const [here, plain] = [await promptTokens(parsing, text), await promptTokens(model, text)];
    expect(here).toBe(plain + 1);
  });

  test("</s> costs what its characters cost", async () => {
    expect((await promptTokens(parsing, "a</s>")) - (await promptTokens(parsing, "a"))).toBe((await promptTokens(parsing, "a</b>")) - (await promptTokens(parsing, "a")));
  });
});

const nativeOf = (of: Model): NativeModel => engineOf(of).native;

/** The arguments of each call of a native method, whose property cannot be written, until the test's end. */
function spyOn<K extends "tokenize" | "answer">(native: NativeModel, name: K): Parameters<NativeModel[K]>[] {
  const calls: Parameters<NativeModel[K]>[] = [];
  const value = (...args: Parameters<NativeModel[K]>): unknown => {
    calls.push(args);
    return (Object.getPrototypeOf(native)[name] as (...rest: unknown[]) => unknown).apply(native, args);
  };
  Object.defineProperty(native, name, { value, configurable: true });
  spied.push(() => Reflect.deleteProperty(native, name));
  return calls;
}
const spied: (() => void)[] = [];
afterEach(() => spied.splice(0).forEach((undo) => undo()));

test("a call tokenizes its question once, and the text before the picture never again", async () => {
  const tokenized = spyOn(nativeOf(model), "tokenize");
  const calls: [string, () => Promise<unknown>][] = [
    ["predictRoI", () => model.predictRoI(image, question)],
    ["answer with a second look", () => model.answer(image, question, { roi: "always", maxTokens: 2 })],
    ["answer", () => model.answer(image, question, { roi: "never", maxTokens: 2 })],
    ["attention", () => attention(model, image, question, { maxTokens: 1, layers: [2] })],
  ];
  for (const [name, call] of calls) {
    tokenized.length = 0;
    await call();
    expect([name, tokenized.map(([segments]) => segments.map(({ text }) => text))]).toEqual([name, [["\n", question, " ASSISTANT:"]]]);
  }
  tokenized.length = 0;
  await (await model.open(image)).dispose();
  expect(tokenized).toEqual([]);
});

test("no native method tokenizes on this thread, or takes a text where tokens belong", () => {
  const native = nativeOf(model) as unknown as Record<string, (...args: unknown[]) => unknown>;
  expect(Object.getOwnPropertyNames(Object.getPrototypeOf(native))).not.toContain("count");
  const refused = { open: ["text"], roi: [1, "text", 0], answer: [1, "text", [], { maxTokens: 1 }], attention: [1, "text", {}], labelMaps: [1, "text", {}] };
  for (const [name, args] of Object.entries(refused)) {
    expect(() => native[name](...args)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  }
});

test("tokens that are not the vocabulary's are refused", async () => {
  const native = nativeOf(model);
  const view = { rgb: new Uint8Array(168 * 168 * 3), width: 168, height: 168, keep: null, box: null };
  const { session } = await native.open(Int32Array.of(1), view).promise;
  for (const token of [-1, -(2 ** 31), engineOf(model).info.vocabSize, 2 ** 31 - 1]) {
    await expect(native.roi(session, Int32Array.of(5, token), { reserve: 0, gate: null, everyToken: false }).promise).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(`received ${token}`) });
    await expect(native.open(Int32Array.of(token), view).promise).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  }
  await native.drop(session).promise;
});

describe("a question too long", () => {
  const never = { data: new Uint8Array(3), width: 1, height: 2, channels: 3 as const }; // no picture: reading it fails

  test("by its length alone is refused without tokenizing it", async () => {
    const tokenized = spyOn(nativeOf(model), "tokenize");
    const { longestToken, contextSize } = engineOf(model).info;
    await expect(model.answer(never, "e".repeat(longestToken * contextSize))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW", message: expect.stringMatching(/has at least \d+ tokens/) });
    expect(tokenized).toEqual([]);
  });

  test("by its tokens is refused before its picture is read", async () => {
    const { contextSize } = engineOf(model).info;
    const text = "?!".repeat(contextSize / 2);
    for (const call of [() => model.answer(never, text), () => model.predictRoI(never, text), () => attention(model, never, text)]) {
      await expect(call()).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW", message: expect.stringMatching(/has \d+ tokens/) });
    }
    await expect(model.answer(never, "short")).rejects.toMatchObject({ code: "IMAGE_INVALID" });
  });

  test("white space at its ends does not count as length", async () => {
    const { longestToken, contextSize } = engineOf(model).info;
    const tokenized = spyOn(nativeOf(model), "tokenize");
    await expect(model.answer(never, `a${" ".repeat(2 * longestToken * contextSize)}`, { exact: true })).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
    expect(tokenized).toHaveLength(1);
  });
});

test("a long question leaves the event loop free", async () => {
  const text = "what is the total of it? ".repeat(40_000);
  const share: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const { promise } = nativeOf(model).tokenize([{ kind: "text", text }], false);
    const called = performance.now();
    await promise;
    share.push((called - start) / (performance.now() - start));
  }
  // the least of several: other programs run, too
  expect(Math.min(...share)).toBeLessThan(0.2);
});

test("text goes to JavaScript where somebody listens", async () => {
  const answers = spyOn(nativeOf(model), "answer");
  await model.answer(image, question, { maxTokens: 2 });
  await model.answer(image, question, { maxTokens: 2, onToken: () => {} });
  for await (const _ of model.answerStream(image, question, { maxTokens: 2 }));
  expect(answers.map((args) => typeof args[4])).toEqual(["undefined", "function", "function"]);
});

test("questions are tokenized while answers are being written", async () => {
  const session = await model.open(image);
  let during = 0;
  let pending: Promise<unknown> | undefined;
  const native = nativeOf(model);
  await session.answer(question, {
    roi: "never",
    onToken: () => {
      pending ??= native.tokenize([{ kind: "text", text: question }], false).promise.then(() => during++);
    },
  });
  await pending;
  expect(during).toBe(1);
  await session.dispose();
});
