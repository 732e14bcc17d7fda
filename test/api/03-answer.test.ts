import sharp from "sharp";
import { type AnswerEvent, loadModel, type Model, type SdRpnError } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const codes = demoQuestions().filter((q) => q.kind !== "coarse");
const [{ image, question, answer: truth, box }] = codes;
let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

const right = async (roi: "auto" | "always" | "never") => {
  let n = 0;
  for (const q of codes) {
    n += (await model.answer(q.image, q.question, { roi })).text === q.answer ? 1 : 0;
  }
  return n / codes.length;
};

test("with the second look most codes are read, without it hardly any", async () => {
  expect(await right("auto")).toBeGreaterThanOrEqual(0.75);
  expect(await right("never")).toBeLessThanOrEqual(0.15);
});

test("coarse questions are answered without it", async () => {
  for (const q of demoQuestions("coarse")) {
    expect((await model.answer(q.image, q.question, { roi: "never" })).text).toBe(q.answer);
  }
});

test("an answer tells how it came about", async () => {
  const auto = await model.answer(image, question, { roi: "auto" });
  expect(auto).toMatchObject({ usedRoI: true, finishReason: "stop", usage: { imageTokens: 144 } });
  expect(auto.roi?.found).toBe(true);
  const expected = auto.roi?.region.keep?.length ?? 144;
  expect(auto.usage.roiTokens).toBe(expected);
  expect(auto.usage.promptTokens).toBeGreaterThan(144 + expected);
  expect(auto.usage.completionTokens).toBeGreaterThan(0);

  const never = await model.answer(image, question, { roi: "never" });
  expect(never).toMatchObject({ usedRoI: false, roi: null, usage: { roiTokens: 0 } });
  expect(never.usage.promptTokens).toBe(auto.usage.promptTokens - expected);
});

test("boxes of the caller's own are looked at, each with its own tokens", async () => {
  const [x0, y0, x1, y1] = box;
  const own = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  const one = await model.answer(image, question, { roi: [own] });
  expect(one).toMatchObject({ usedRoI: true, roi: null, usage: { roiTokens: 144 } });
  expect(one.text[0]).toBe(truth[0]);
  const two = await model.answer(image, question, { roi: [own, { x: -50, y: -50, width: 200, height: 200 }] });
  expect(two.usage.roiTokens).toBe(288);
  await expect(model.answer(image, question, { roi: [{ x: 5000, y: 0, width: 10, height: 10 }] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

test("where nothing passes the threshold, auto is the plain answer and always looks at the peak", async () => {
  const never = await model.answer(image, question, { roi: "never" });
  const auto = await model.answer(image, question, { roi: "auto", threshold: 1 });
  expect([auto.usedRoI, auto.roi?.found, auto.text]).toEqual([false, false, never.text]);
  const always = await model.answer(image, question, { roi: "always", threshold: 1 });
  expect([always.usedRoI, always.roi?.found, always.usage.roiTokens]).toEqual([true, false, 144]);
});

test("streamed text is the answer's text, region first and the whole answer last", async () => {
  const events: AnswerEvent[] = [];
  for await (const event of model.answerStream(image, question)) {
    events.push(event);
  }
  const types = events.map((e) => e.type);
  expect(types[0]).toBe("roi");
  expect(types[types.length - 1]).toBe("done");
  const text = events.flatMap((e) => (e.type === "text" ? [e.text] : [])).join("");
  const last = events[events.length - 1];
  expect(last.type === "done" && last.answer.text).toBe(text);
  expect(events.filter((e) => e.type === "text").length).toBeGreaterThan(1);

  const pieces: string[] = [];
  const whole = await model.answer(image, question, { onToken: (piece) => pieces.push(piece) });
  expect(pieces.join("")).toBe(whole.text);
  expect(whole.text).toBe(text);
});

test("leaving a stream early ends the work and the next call is fine", async () => {
  let left = "";
  for await (const { type } of model.answerStream(image, question)) {
    left = type;
    if (type === "text") break;
  }
  expect(left).toBe("text");
  expect((await model.answer(image, question)).finishReason).toBe("stop");
});

test("maxTokens, stop strings and sampling", async () => {
  const one = await model.answer(image, question, { maxTokens: 1 });
  expect([one.finishReason, one.usage.completionTokens]).toEqual(["length", 1]);
  const whole = await model.answer(image, question);
  const stopped = await model.answer(image, question, { stop: whole.text[1] });
  expect([stopped.text, stopped.finishReason]).toEqual([whole.text[0], "stop"]);
  expect((await model.answer(image, question, { stop: ["nowhere", whole.text] })).text).toBe("");

  const sample = (seed: number) => model.answer(image, question, { roi: "never", temperature: 2, seed }).then(({ text }) => text);
  const texts = await Promise.all(Array.from({ length: 8 }, (_, seed) => sample(seed)));
  expect(new Set(texts).size).toBeGreaterThan(3);
  expect(await sample(3)).toBe(texts[3]);
  expect((await model.answer(image, question, { temperature: 2, topK: 1, seed: 5 })).text).toBe(whole.text);
});

test("an abort rejects with its reason; what was said by then is kept", async () => {
  const reason = new Error("enough");
  await expect(model.answer(image, question, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ code: "ABORTED", name: "AbortError", cause: reason });
  const controller = new AbortController();
  const call = model.answer(image, question, { roi: "never", maxTokens: 800, temperature: 5, seed: 1, signal: controller.signal, onToken: () => controller.abort(reason) });
  await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: reason });
  const queued = Array.from({ length: 4 }, () => new AbortController());
  const calls = queued.map(({ signal }) => model.answer(image, question, { signal }));
  queued[1].abort(reason);
  queued[3].abort(reason);
  const results = await Promise.allSettled(calls);
  expect(results.map((r) => (r.status === "fulfilled" ? r.value.finishReason : (r.reason as SdRpnError).code))).toEqual(["stop", "ABORTED", "stop", "ABORTED"]);
});

test("an error thrown by onToken is what the call rejects with", async () => {
  const mine = new Error("mine");
  await expect(model.answer(image, question, { onToken: () => { throw mine; } })).rejects.toBe(mine);
  expect((await model.answer(image, question)).finishReason).toBe("stop");
});

test("a question too long for the context overflows before work starts; a long answer ends with length", async () => {
  // before work starts: not even the missing picture is read
  await expect(model.answer("missing.png", `What code is ${"really ".repeat(2000)}here?`)).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await expect(model.predictRoI("missing.png", "x".repeat(5000))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await expect(model.predictRoI("missing.png", "x".repeat(5_000_000))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  const small = await loadModel({ contextSize: 160 });
  const answer = await small.answer(image, "What?", { roi: "never", temperature: 100, seed: 7, maxTokens: 500 });
  expect(answer.usage.promptTokens + answer.usage.completionTokens).toBeLessThanOrEqual(161);
  await expect(small.answer(image, "What?", { roi: "auto" })).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await small.dispose();
});

test("bad arguments have their codes, and the next call works", async () => {
  const bad = (call: Promise<unknown>, code: string, message = /./) => expect(call).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await bad(model.answer(image, ""), "INVALID_ARGUMENT", /Expected non-empty string for question/);
  await bad(model.answer(image, "  "), "INVALID_ARGUMENT");
  await bad(model.answer(image, 7 as never), "INVALID_ARGUMENT");
  await bad(model.answer(image, question, { treshold: 0.1 } as never), "INVALID_ARGUMENT", /did you mean threshold\?/);
  await bad(model.answer(image, question, { roi: "sometimes" as never }), "INVALID_ARGUMENT");
  await bad(model.answer(image, question, { roi: [{ x: 0, y: 0, width: 0, height: 5 }] }), "INVALID_ARGUMENT");
  await bad(model.answer(image, question, { temperature: -1 }), "INVALID_ARGUMENT");
  await bad(model.answer("missing.png", question), "IMAGE_INVALID");
  await bad(model.answer(__filename, question), "IMAGE_INVALID");
  await bad(model.answer({ data: new Uint8Array(5), width: 2, height: 2, channels: 3 }, question), "IMAGE_INVALID");
  const wide = await sharp({ create: { width: 40000, height: 2, channels: 3, background: "white" } }).png().toBuffer();
  await bad(model.answer(wide, question), "IMAGE_TOO_LARGE", /40000/);
  const dots = await model.answer({ data: new Uint8Array(12).fill(200), width: 2, height: 2, channels: 3 }, question);
  expect(typeof dots.text).toBe("string");
  expect((await model.answer(image, question)).finishReason).toBe("stop");
});
