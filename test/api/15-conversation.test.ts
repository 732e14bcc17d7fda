// What was said before a question, and what stands before its picture. The demo model was trained on single questions: what it is given is
// compared, not what it says.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnswerOptions, type Chat, demoModel, loadModel, type Model, type RoI, type Session, type Turn } from "../../src/index";
import { engineOf, pictureOf } from "../../src/model/engine-of";
import type { NativeSegment } from "../../src/native/binding";
import { demoQuestions } from "../helpers/demo";
import { readGguf, str, writeGguf } from "../helpers/gguf-writer";

const [first, second] = demoQuestions("object");
const { image } = first;
const [Q1, Q2, Q3] = [first.question, "What shape is purple?", second.question];
const HISTORY: Turn[] = [
  { role: "user", text: Q2 },
  { role: "assistant", text: "star" },
];
/** 3 tokens of "USER: " and the picture's 144 */
const PREFIX = 147;

let folder: string;
let model: Model;
/** the demo model with a template that takes a system text */
let talking: Model;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sd-rpn-conversation-"));
  const path = join(folder, "model.gguf");
  const gguf = readGguf(demoModel().model);
  const template = (gguf.metadata.get("tokenizer.chat_template") as { value: string }).value;
  gguf.metadata.set("tokenizer.chat_template", str(template.replace("{% for message in messages %}", "$&{% if message['role'] == 'system' %}SYSTEM: {{ message['content'] }} {% endif %}")));
  writeGguf(path, gguf);
  [model, talking] = [await loadModel(), await loadModel({ ...demoModel(), model: path })];
});
afterAll(async () => {
  await Promise.all([model.dispose(), talking.dispose()]);
  rmSync(folder, { recursive: true, force: true });
});

const markup = (text: string): NativeSegment => ({ kind: "markup", text });
const said = (text: string): NativeSegment => ({ kind: "text", text });
const tokensOf = (segments: NativeSegment[], addBos = false): Promise<Int32Array> => engineOf(model).native.tokenize(segments, addBos).promise;

/** What the native core answers to tokens put together here. */
async function byHand(prefix: NativeSegment[], question: NativeSegment[], maxTokens = 12) {
  const { native } = engineOf(model);
  await using opened = await model.open(image);
  const { view } = opened as unknown as { view: Parameters<typeof native.open>[1] };
  const { session, tokens } = await native.open(await tokensOf(prefix, true), view).promise;
  const asked = await tokensOf(question);
  const params = { maxTokens, temperature: 0, topP: 1, topK: 0, seed: 0, ignoreEos: false, stop: [], grammar: "", logprobs: true, topLogprobs: 5, turn: { keep: false, reuse: false } };
  const answer = await native.answer(session, asked, [], params).promise;
  await native.drop(session).promise;
  return { ...answer, promptTokens: tokens + asked.length };
}

const CONVERSATION = [markup("\n"), said(Q2), markup(" ASSISTANT: "), said("star"), markup("</s>USER: "), said(Q1), markup(" ASSISTANT:")];
const PLAIN = { roi: "never", maxTokens: 12, logprobs: 5 } as const;

/** The greatest difference between the probabilities that two answers list. */
function difference(a: { logprobs?: unknown }, b: { logprobs?: unknown }): number {
  type Listed = { id: number; top: { id: number; logprob: number }[] }[];
  const [x, y] = [a.logprobs as Listed, b.logprobs as Listed];
  expect(x.map(({ id }) => id)).toEqual(y.map(({ id }) => id));
  return Math.max(...x.flatMap(({ top }, at) => top.map(({ logprob }, i) => Math.abs(Math.exp(logprob) - Math.exp(y[at].top[i].logprob)))));
}

function mapDifference(a: RoI | null, b: RoI | null): number {
  return Math.max(...a!.map.data.map((value, cell) => Math.abs(value - b!.map.data[cell])));
}

test("a history is read as the template writes it: the same probabilities as from tokens put together by hand", async () => {
  const expected = await byHand([markup("USER: ")], CONVERSATION);
  const answer = await model.answer(image, Q1, { ...PLAIN, history: HISTORY });
  expect(answer.usage.promptTokens).toBe(expected.promptTokens);
  expect(answer.text).toBe(expected.text);
  expect(difference(answer, expected)).toBeLessThan(1e-4);
  const spaced = HISTORY.map(({ role, text }) => ({ role, text: ` ${text}\n` }));
  expect((await model.answer(image, Q1, { ...PLAIN, history: spaced })).usage.promptTokens).toBe(expected.promptTokens);
  expect((await model.answer(image, Q1, { ...PLAIN, history: spaced, exact: true })).usage.promptTokens).toBeGreaterThan(expected.promptTokens);
  // and it matters
  const alone = await model.answer(image, Q1, PLAIN);
  expect(alone.usage.promptTokens).toBeLessThan(answer.usage.promptTokens);
  expect(Math.abs(alone.logprobs![0].logprob - answer.logprobs![0].logprob)).toBeGreaterThan(0.01);
});

test("an empty history is none, and answers outside of conversations neither keep nor reuse anything", async () => {
  await using session = await model.open(image);
  const plain = await session.answer(Q1, PLAIN);
  const empty = await session.answer(Q1, { ...PLAIN, history: [] });
  const again = await session.answer(Q1, PLAIN);
  expect(difference(empty, plain)).toBeLessThan(1e-4);
  expect(difference(again, plain)).toBeLessThan(1e-4);
  expect([plain, empty, again].map(({ usage }) => usage.reusedTokens)).toEqual([0, PREFIX, PREFIX]);
});

describe("the next turn begins with what the last one left", () => {
  test("question and answer are not computed again, and what is said is the same", async () => {
    await using session = await model.open(image);
    const chat = session.chat();
    const one = await chat.answer(Q1, PLAIN);
    const two = await chat.answer(Q2, PLAIN);
    const asked = await tokensOf([markup("\n"), said(Q1), markup(" ASSISTANT:")]);
    expect(two.usage.reusedTokens).toBe(PREFIX + asked.length + one.usage.completionTokens);
    const three = await chat.answer(Q3, PLAIN);
    const whole = await tokensOf([markup("\n"), said(Q1), markup(" ASSISTANT: "), said(one.text), markup("</s>USER: "), said(Q2), markup(" ASSISTANT:")]);
    expect(three.usage.reusedTokens).toBe(PREFIX + whole.length + two.usage.completionTokens);

    await using fresh = await loadModel();
    const history: Turn[] = [{ role: "user", text: Q1 }, { role: "assistant", text: one.text }];
    const expected = await fresh.answer(image, Q2, { ...PLAIN, history });
    expect(expected.usage.reusedTokens).toBe(0);
    expect(expected.usage.promptTokens).toBe(two.usage.promptTokens);
    expect(difference(two, expected)).toBeLessThan(1e-3);
    const last = await fresh.answer(image, Q3, { ...PLAIN, history: [...history, { role: "user", text: Q2 }, { role: "assistant", text: two.text }] });
    expect(difference(three, last)).toBeLessThan(1e-3);
  });

  test("with second looks it does so where they read the same", async () => {
    await using session = await model.open(image);
    const chat = session.chat();
    const roi = [{ x: 10, y: 20, width: 300, height: 300 }];
    await chat.answer(Q1, { roi });
    const same = await chat.answer(Q2, { roi });
    expect(same.usage.reusedTokens).toBeGreaterThan(PREFIX + 144 + 10);
    expect(same.timings.vision).toBe(0);
    const other = await chat.answer(Q3, { roi: [{ ...roi[0], x: 200 }] });
    expect(other.usage.reusedTokens).toBe(PREFIX);
    await using fresh = await loadModel();
    expect(same.text).toBe((await fresh.answer(image, Q2, { roi, history: chat.history.slice(0, 2) })).text);
    expect(other.text).toBe((await fresh.answer(image, Q3, { roi: [{ ...roi[0], x: 200 }], history: chat.history.slice(0, 4) })).text);
  });

  test("with choices too", async () => {
    await using session = await model.open(image);
    const chat = session.chat();
    const choices = ["star", "circle", "square"];
    const one = await chat.answer(Q2, { choices, roi: "never" });
    expect(chat.history[1]).toEqual({ role: "assistant", text: one.text });
    const asked = await tokensOf([markup("\n"), said(Q2), markup(" ASSISTANT:")]);
    const two = await chat.answer(Q2, { choices, roi: "never" });
    expect(two.usage.reusedTokens).toBe(PREFIX + asked.length);
    await using fresh = await loadModel();
    const expected = await fresh.answer(image, Q2, { choices, roi: "never", history: chat.history.slice(0, 2) });
    for (const [i, { logprob }] of expected.choices!.entries()) {
      expect(two.choices![i].logprob).toBeCloseTo(logprob, 2);
    }
  });
});

test("the region is that of the last question alone, with every method", async () => {
  await using looking = await loadModel({ heads: "demo" });
  for (const method of ["rpn", "attention", "vicrop"] as const) {
    const alone = await looking.predictRoI(image, Q1, { method });
    const { roi, usage } = await looking.answer(image, Q1, { method, history: HISTORY, maxTokens: 2 });
    expect(roi!.region).toEqual(alone.region);
    expect(roi!.boxes).toHaveLength(alone.boxes.length);
    expect(mapDifference(roi, alone)).toBeLessThan(1e-3);
    expect(usage.roiTokens).toBeGreaterThan(0);
  }
});

describe("a chat", () => {
  let session: Session;
  let chat: Chat;
  beforeEach(async () => {
    session = await model.open(image);
    chat = session.chat();
  });
  afterEach(() => session.dispose());

  test("keeps the turns; its history is a copy, from which another one goes on", async () => {
    expect(chat.history).toEqual([]);
    const one = await chat.answer(` ${Q1}\n`);
    const expected: Turn[] = [{ role: "user", text: Q1 }, { role: "assistant", text: one.text }];
    expect(chat.history).toEqual(expected);
    chat.history.push({ role: "user", text: "no" });
    chat.history[0].text = "no";
    expect(chat.history).toEqual(expected);
    const own = JSON.parse(JSON.stringify(chat.history)) as Turn[];
    const other = session.chat({ history: own });
    own[0].text = "no";
    expect(other.history).toEqual(expected);
    expect((await other.answer(Q2)).text).toBe((await chat.answer(Q2)).text);
    expect(other.history).toHaveLength(4);
  });

  test("answers are those of calls with a history", async () => {
    const one = await chat.answer(Q1);
    const two = await chat.answer(Q2);
    expect(one.text).toBe((await session.answer(Q1)).text);
    const expected = await session.answer(Q2, { history: [{ role: "user", text: Q1 }, { role: "assistant", text: one.text }] });
    expect([two.text, two.usage.promptTokens, two.usedRoI]).toEqual([expected.text, expected.usage.promptTokens, expected.usedRoI]);
  });

  test("calls at once are answered one after the other, each with the ones before", async () => {
    const answers = await Promise.all([chat.answer(Q1), chat.answer(Q2), chat.answer(Q3)]);
    expect(chat.history.map(({ text }) => text)).toEqual([Q1, answers[0].text, Q2, answers[1].text, Q3, answers[2].text]);
    const again = session.chat();
    for (const [i, question] of [Q1, Q2, Q3].entries()) {
      const { text, usage } = await again.answer(question);
      expect([text, usage.promptTokens]).toEqual([answers[i].text, answers[i].usage.promptTokens]);
    }
    // one that is aborted while it waits lets none pass that has to wait for those before it
    const third = session.chat();
    const stop = new AbortController();
    const calls = [third.answer(Q1), third.answer(Q3, { signal: stop.signal }), third.answer(Q2)];
    const settled = Promise.allSettled(calls);
    stop.abort();
    expect((await settled).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect((await calls[2]).usage.promptTokens).toBe(answers[1].usage.promptTokens);
    expect(third.history.map(({ text }) => text)).toEqual([Q1, answers[0].text, Q2, answers[1].text]);
  });

  test("streams; a turn is part of it when it is done, and not where the reader leaves", async () => {
    const events: string[] = [];
    for await (const event of chat.answerStream(Q1)) {
      events.push(event.type);
      expect(chat.history).toHaveLength(event.type === "done" ? 2 : 0);
    }
    expect(events[0]).toBe("roi");
    for await (const event of chat.answerStream(Q2, { maxTokens: 200, temperature: 5, seed: 1 })) {
      if (event.type === "text") break;
    }
    expect(chat.history).toHaveLength(2);
    expect((await chat.answer(Q2)).text).toBe((await session.answer(Q2, { history: chat.history.slice(0, 2) })).text);
  });

  test("a call that is aborted or fails leaves it as it was, and the next one is right", async () => {
    const one = await chat.answer(Q1, PLAIN);
    const before = chat.history;
    const stop = new AbortController();
    const reason = new Error("enough");
    const aborted = chat.answer(Q2, { roi: "never", maxTokens: 200, temperature: 5, seed: 1, signal: stop.signal, onToken: () => stop.abort(reason) });
    const waiting = new AbortController();
    const never = chat.answer(Q3, { signal: waiting.signal });
    const behind = chat.answer(Q3, PLAIN); // starts when the two before it have ended
    waiting.abort(reason);
    await expect(never).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    const expected = await session.answer(Q3, { ...PLAIN, history: before });
    expect(difference(await behind, expected)).toBeLessThan(1e-3);
    expect(chat.history.map(({ text }) => text)).toEqual([Q1, one.text, Q3, expected.text]);

    const mine = new Error("mine");
    await expect(chat.answer(Q2, { onToken: () => { throw mine; } })).rejects.toBe(mine);
    await expect(chat.answer("x ".repeat(50_000))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
    await expect(chat.answer(" ")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const already = chat.answer(Q2, { signal: AbortSignal.abort(reason) });
    await expect(already).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect(chat.history).toHaveLength(4);
  });

  test("it ends with its session; its history stays", async () => {
    await chat.answer(Q1);
    const [running, waiting] = [chat.answer(Q2, { maxTokens: 200, temperature: 5 }), chat.answer(Q3)];
    const settled = Promise.allSettled([running, waiting]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await session.dispose();
    expect(await settled).toEqual(Array(2).fill({ status: "rejected", reason: expect.objectContaining({ code: "DISPOSED" }) as unknown }));
    await expect(chat.answer(Q1)).rejects.toMatchObject({ code: "DISPOSED" });
    expect(() => session.chat()).toThrow(expect.objectContaining({ code: "DISPOSED" }));
    expect(chat.history).toHaveLength(2);
    expect(() => structuredClone(chat)).toThrow(/belongs to the thread/);
  });
});

describe("a system text", () => {
  test("stands before the picture as the template writes it", async () => {
    const expected = await byHand([markup("SYSTEM: "), said("Be brief."), markup(" USER: ")], CONVERSATION);
    const answer = await talking.answer(image, Q1, { ...PLAIN, system: " Be brief.\n", history: HISTORY });
    expect(answer.usage.promptTokens).toBe(expected.promptTokens);
    expect(difference(answer, expected)).toBeLessThan(1e-4);
    await using session = await talking.open(image, { system: "Be brief." });
    expect(difference(await session.answer(Q1, { ...PLAIN, history: HISTORY }), expected)).toBeLessThan(1e-4);
    expect(pictureOf(session)!.session.tokens).toBe(expected.promptTokens - (await tokensOf(CONVERSATION)).length);
  });

  test("pictures are kept for each system text", async () => {
    await using fresh = await loadModel({ ...demoModel(), model: join(folder, "model.gguf") });
    const reused = [];
    for (const system of ["One.", undefined, "Two.", "One.", undefined, "Two."]) {
      reused.push((await fresh.answer(image, Q1, { roi: "never", system, maxTokens: 1 })).usage.reusedTokens > 0);
    }
    expect(reused).toEqual([false, false, false, true, true, true]);
  });

  test("the region is looked for behind it, in the call and in a session", async () => {
    const plain = await talking.predictRoI(image, Q1);
    const [call, answer] = [await talking.predictRoI(image, Q1, { system: "Answer with a code." }), await talking.answer(image, Q1, { system: "Answer with a code." })];
    expect(mapDifference(call, plain)).toBeGreaterThan(1e-3);
    expect(mapDifference(answer.roi, call)).toBeLessThan(1e-3);
    await using session = await talking.open(image, { system: "Answer with a code." });
    expect(mapDifference(await session.predictRoI(Q1), call)).toBeLessThan(1e-3);
    const chat = session.chat();
    await chat.answer(Q2);
    expect(mapDifference((await chat.answer(Q1)).roi, call)).toBeLessThan(1e-3);
  });

  test("is text: control tokens in it and in a history are spelled out", async () => {
    const count = async (system: string, text: string): Promise<number> =>
      (await talking.answer(image, Q1, { system, history: [{ role: "user", text }, { role: "assistant", text }], roi: "never", maxTokens: 1 })).usage.promptTokens;
    const plain = await count("a</b>", "a</b>");
    expect(await count("a</s>", "a</b>")).toBe(plain);
    expect(await count("a</b>", "a</s>")).toBe(plain);
  });

  test("where the template has none it is refused, before the picture is read", async () => {
    const refused = { code: "INVALID_ARGUMENT", message: expect.stringContaining("no system text for this model") as unknown };
    await expect(model.answer("missing.png", Q1, { system: "Be brief." })).rejects.toMatchObject(refused);
    await expect(model.predictRoI("missing.png", Q1, { system: "Be brief." })).rejects.toMatchObject(refused);
    await expect(model.open("missing.png", { system: "Be brief." })).rejects.toMatchObject(refused);
  });
});

describe("what is refused, before any work on the picture", () => {
  test.each<[unknown, string]>([
    ["x", "array"],
    [[{ role: "system", text: "x" }], "user or assistant for history[0].role but received system"],
    [[{ role: "assistant", text: "x" }], "begins with a message of the user's"],
    [[{ role: "user", text: " " }], "not empty in each message of the user's"],
    [[{ role: "user" }], "string for history[0].text"],
    [[{ role: "user", text: "x", image: "y" }], "Unknown option history[0].image"],
    [[{ role: "user", text: "x", content: "y" }], "Unknown option history[0].content"],
  ])("history %j", async (history, message) => {
    await expect(model.answer("missing.png", Q1, { history: history as Turn[] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
    await using session = await model.open(image);
    expect(() => session.chat({ history: history as Turn[] })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("history and system where they are not an option", async () => {
    await using session = await talking.open(image);
    const options = { system: "x" } as AnswerOptions;
    await expect(session.answer(Q1, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("pass it to open") });
    await expect(session.predictRoI(Q1, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const chat = session.chat();
    await expect(chat.answer(Q1, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("pass it to open") });
    await expect(chat.answer(Q1, { history: [] } as AnswerOptions)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("keeps its own") });
    await expect(session.predictRoI(Q1, { history: [] } as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(model.open(image, { system: " " })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(model.open(image, { history: [] } as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(chat.answer(Q1, (7 as unknown) as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect((await chat.answer(Q1)).usage.promptTokens).toBeGreaterThan(PREFIX);
  });

  test("what does not fit the context, with the numbers", async () => {
    await using small = await loadModel({ ...demoModel(), model: join(folder, "model.gguf"), contextSize: 400 });
    const long = (n: number): Turn[] => [{ role: "user", text: "word ".repeat(n) }, { role: "assistant", text: "yes" }];
    const overflow = (message: RegExp) => ({ code: "CONTEXT_OVERFLOW", message: expect.stringMatching(message) as unknown });
    await expect(small.answer("missing.png", Q1, { history: long(5000) })).rejects.toMatchObject(overflow(/at least \d+ tokens with the 2 messages before the question.*holds 400.*shorter question or history/));
    const { usage } = await small.answer(image, Q1, { history: long(40), roi: "never", maxTokens: 1 });
    await expect(small.answer("missing.png", Q1, { history: long(40), roi: [{ x: 0, y: 0, width: 9, height: 9 }] })).rejects.toMatchObject(
      overflow(new RegExp(`has ${usage.promptTokens} tokens with the 2 messages before the question, and 144 are kept free`)),
    );
    await expect(small.open("missing.png", { system: "word ".repeat(5000) })).rejects.toMatchObject(overflow(/holds 400.*system text/));
    await expect(small.predictRoI("missing.png", Q1, { system: "word ".repeat(200) })).rejects.toMatchObject(overflow(/holds 400.*system text/));
    expect((await small.answer(image, Q1)).finishReason).toBe("stop");
  });
});
