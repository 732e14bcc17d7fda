// Several pictures in one question. The demo model was trained with one: what it is given is compared, not what it says.
import { type Answer, type AnswerEvent, type AnswerOptions, demoModel, distill, loadModel, type Model, type RoI } from "../../src/index";
import { engineOf } from "../../src/model/engine-of";
import type { NativeSegment } from "../../src/native/binding";
import { demoQuestions } from "../helpers/demo";

const [{ image: a, question }, { image: b }, { image: c }] = demoQuestions("object");
const PLAIN = { roi: "never", maxTokens: 8, logprobs: 5 } as const;
const CELLS = 144;

let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

const markup = (text: string): NativeSegment => ({ kind: "markup", text });
const tokensOf = (text: NativeSegment[], addBos = false): Promise<Int32Array> => engineOf(model).native.tokenize(text, addBos).promise;

/** The greatest difference between the probabilities that two answers list. */
function difference(x: Answer, y: Answer): number {
  expect(x.logprobs!.map(({ id }) => id)).toEqual(y.logprobs!.map(({ id }) => id));
  return Math.max(...x.logprobs!.flatMap(({ top }, at) => top.map(({ logprob }, i) => Math.abs(Math.exp(logprob) - Math.exp(y.logprobs![at].top[i].logprob)))));
}

function mapDifference(x: RoI | null, y: RoI): number {
  return Math.max(...x!.map.data.map((value, cell) => Math.abs(value - y.map.data[cell])));
}

test("the prompt is the one put together by hand: pictures in a row, a line break behind each", async () => {
  const { native } = engineOf(model);
  const read = async (image: string) => (await engineOf(model).read(image)).view;
  const before = await tokensOf([markup("USER: ")], true);
  const ids = [];
  for (const image of [a, b]) ids.push((await native.open(before, await read(image)).promise).session);
  const lineBreak = await tokensOf([markup("\n")]);
  const joined = await native.join(before, Int32Array.from(ids), [lineBreak]).promise;
  const asked = await tokensOf([markup("\n"), { kind: "text", text: question }, markup(" ASSISTANT:")]);
  const params = { maxTokens: 8, temperature: 0, topP: 1, topK: 0, seed: 0, ignoreEos: false, stop: [], grammar: "", logprobs: true, topLogprobs: 5, turn: { keep: false, reuse: false } };
  const expected = await native.answer(joined.session, asked, [], params).promise;
  for (const id of [...ids, joined.session]) await native.drop(id).promise;

  const answer = await model.answer([a, b], question, PLAIN);
  expect(answer.usage).toMatchObject({ imageTokens: 2 * CELLS, roiTokens: 0, promptTokens: before.length + 2 * CELLS + lineBreak.length + asked.length });
  expect(difference(answer, expected as unknown as Answer)).toBeLessThan(1e-4);
  // each of them matters, and so does their order
  for (const other of [[a], [b, a], [a, a], [a, b, a]]) {
    const changed = await model.answer(other, question, PLAIN);
    expect(Math.abs(changed.logprobs![0].logprob - answer.logprobs![0].logprob)).toBeGreaterThan(1e-4);
  }
});

test("each picture has the region that it has alone, and its own part in the result", async () => {
  const answer = await model.answer([a, b, c], question);
  const parts = answer.pictures!;
  expect(parts).toHaveLength(3);
  let looks = 0;
  for (const [i, image] of [a, b, c].entries()) {
    const alone = await model.predictRoI(image, question);
    const { roi, usedRoI, imageTokens, image: info } = parts[i];
    expect(roi!.region).toEqual(alone.region);
    expect(roi!.boxes.map(({ x, y, width, height }) => [x, y, width, height])).toEqual(alone.boxes.map(({ x, y, width, height }) => [x, y, width, height]));
    expect(mapDifference(roi, alone)).toBeLessThan(1e-3);
    expect([usedRoI, imageTokens, info]).toEqual([alone.found, CELLS, alone.image]);
    looks += alone.found ? (alone.region.keep?.length ?? CELLS) : 0;
  }
  expect(looks).toBeGreaterThan(0);
  expect(answer.usage).toMatchObject({ imageTokens: 3 * CELLS, roiTokens: looks });
  expect([answer.roi, answer.image, answer.usedRoI]).toEqual([parts[0].roi, parts[0].image, true]);
  // behind earlier turns too
  const later = await model.answer([a, b], question, { history: [{ role: "user", text: "What shape is purple?" }, { role: "assistant", text: "star" }], maxTokens: 2 });
  expect(later.pictures!.map(({ roi }) => roi!.region)).toEqual(parts.slice(0, 2).map(({ roi }) => roi!.region));
  expect(later.usage.reusedTokens).toBe(0);
  expect((await model.answer([a, b], question, { maxTokens: 2 })).usage.reusedTokens).toBe(3 + 2 * CELLS + 2); // of the prompt, not of a region's
  const json = JSON.parse(JSON.stringify(answer)) as { pictures: { roi: { map: { data: number[] } } }[] };
  expect(json.pictures.map(({ roi }) => roi.map.data.length)).toEqual([CELLS, CELLS, CELLS]);
});

test("always looks in each, never in none; attention and vicrop too", async () => {
  const always = await model.answer([a, b], question, { roi: "always", threshold: 1, maxTokens: 2 });
  expect(always.pictures!.map(({ roi, usedRoI }) => [roi!.found, roi!.region.kind, usedRoI])).toEqual([[false, "crop", true], [false, "crop", true]]);
  expect(always.usage.roiTokens).toBe(2 * CELLS);
  const never = await model.answer([a, b], question, { roi: "never", maxTokens: 2 });
  expect(never.pictures!.map(({ roi, usedRoI }) => [roi, usedRoI])).toEqual([[null, false], [null, false]]);
  expect([never.roi, never.usedRoI]).toEqual([null, false]);
  await using looking = await loadModel({ heads: "demo" });
  for (const method of ["attention", "vicrop"] as const) {
    const { pictures } = await looking.answer([a, b], question, { method, maxTokens: 2 });
    for (const [i, image] of [a, b].entries()) {
      const alone = await looking.predictRoI(image, question, { method });
      expect(pictures![i].roi!.region).toEqual(alone.region);
    }
  }
});

test("a list of one is that picture alone", async () => {
  const [alone, list] = [await model.answer(a, question, { logprobs: 5 }), await model.answer([a], question, { logprobs: 5 })];
  expect(alone.pictures).toBeUndefined();
  expect(list.pictures).toHaveLength(1);
  expect([list.text, list.usage.promptTokens, list.hints]).toEqual([alone.text, alone.usage.promptTokens, []]);
  expect(list.roi!.region).toEqual(alone.roi!.region);
  expect(difference(list, alone)).toBeLessThan(1e-3);
});

test("a model that was trained with one picture says so", async () => {
  const { hints } = await model.answer([a, b], question, PLAIN);
  expect(hints).toEqual([{ code: "ONE_PICTURE_MODEL", message: expect.stringMatching(/one picture at a time.*about 2/) }]);
  expect((await model.answer(a, question, PLAIN)).hints).toEqual([]);
});

describe("a session of several", () => {
  test("answers as the model does, reuses all of them, and talks about them", async () => {
    await using session = await model.open([a, b]);
    const direct = await model.answer([a, b], question, PLAIN);
    const first = await session.answer(question, PLAIN);
    const second = await session.answer(question, PLAIN);
    expect(difference(first, direct)).toBeLessThan(1e-3);
    expect(difference(second, direct)).toBeLessThan(1e-3);
    const prefix = 3 + 2 * CELLS + 2;
    expect([first.usage.reusedTokens, second.usage.reusedTokens]).toEqual([0, prefix]);
    expect(second.timings).toMatchObject({ decode: 0, vision: 0 });
    expect((await session.answer(question)).pictures!.map(({ roi }) => roi!.found)).toEqual((await model.answer([a, b], question)).pictures!.map(({ roi }) => roi!.found));

    const chat = session.chat();
    const one = await chat.answer(question, PLAIN);
    const two = await chat.answer("What shape is purple?", PLAIN);
    expect(two.usage.reusedTokens).toBeGreaterThan(prefix + one.usage.completionTokens);
    const expected = await model.answer([a, b], "What shape is purple?", { ...PLAIN, history: chat.history.slice(0, 2) });
    expect(difference(two, expected)).toBeLessThan(1e-3);
    const chosen = await chat.answer("What shape is purple?", { choices: ["star", "circle"], roi: "never" });
    expect(chosen.pictures).toHaveLength(2);
  });

  test("the model keeps what it has seen: of each picture, and of all in this order", async () => {
    await using fresh = await loadModel();
    const calls: [string | string[], AnswerOptions?][] = [[[a, b]], [[a, b]], [a], [[b, a]], [[b, a]], [[a, b, c]], [c]];
    const seen = [];
    for (const [images] of calls) {
      const { usage, timings } = await fresh.answer(images, question, PLAIN);
      seen.push([usage.reusedTokens > 0, timings.vision > 0]);
    }
    expect(seen).toEqual([[false, true], [true, false], [false, false], [false, false], [true, false], [false, true], [false, false]]);
    await using none = await loadModel({ sessionCacheBytes: 0 });
    for (let i = 0; i < 2; i++) expect((await none.answer([a, b], question, PLAIN)).usage.reusedTokens).toBe(0);
  });

  test("it has no region or features of its own, and says what to call instead", async () => {
    await using session = await model.open([a, b]);
    const refused = { code: "INVALID_ARGUMENT", message: expect.stringContaining("opened with a list") as unknown };
    await expect(session.predictRoI(question)).rejects.toMatchObject(refused);
    await expect(session.encodeImage()).rejects.toMatchObject(refused);
    await expect(distill.attention(session, question)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect((await session.answer(question, PLAIN)).pictures).toHaveLength(2);
    await session.dispose();
    await session.dispose();
    await expect(session.answer(question)).rejects.toMatchObject({ code: "DISPOSED" });
    expect(() => session.chat()).toThrow(expect.objectContaining({ code: "DISPOSED" }));
  });
});

test("streams say which picture a region is in", async () => {
  const events: AnswerEvent[] = [];
  for await (const event of model.answerStream([a, b], question)) events.push(event);
  expect(events.filter(({ type }) => type === "roi").map((event) => "picture" in event && event.picture)).toEqual([0, 1]);
  const last = events[events.length - 1];
  expect(last.type === "done" && last.answer.pictures!.map(({ roi }) => roi)).toEqual(events.flatMap((event) => (event.type === "roi" ? [event.roi] : [])));
  for await (const event of model.answerStream(a, question)) {
    expect("picture" in event).toBe(false);
  }
});

describe("what is refused", () => {
  test.each<[string, readonly string[], AnswerOptions, RegExp]>([
    ["no image", [], {}, /at least one image/],
    ["boxes", [a, b], { roi: [{ x: 0, y: 0, width: 9, height: 9 }] }, /which do not say in which/],
    ["boxes for a list of one", [a], { roi: [{ x: 0, y: 0, width: 9, height: 9 }] }, /which do not say in which/],
    ["a file that is missing", [a, "missing.png"], {}, /missing\.png/],
  ])("%s", async (_, images, options, message) => {
    await expect(model.answer(images, question, options)).rejects.toMatchObject({ code: expect.stringMatching(/INVALID/) as unknown, message: expect.stringMatching(message) as unknown });
    if (!options.roi) {
      await expect(model.open(images)).rejects.toMatchObject({ message: expect.stringMatching(message) as unknown });
    }
    expect((await model.answer([a, b], question, PLAIN)).pictures).toHaveLength(2);
  });

  test("a list for a region, and lists in lists", async () => {
    await expect(model.predictRoI([a, b] as unknown as string, question)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(model.answer([[a, b]] as unknown as string[], question)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("more than fit the context, with the numbers, before any of them is read", async () => {
    await using small = await loadModel({ ...demoModel(), contextSize: 512 });
    const overflow = (message: RegExp) => ({ code: "CONTEXT_OVERFLOW", message: expect.stringMatching(message) as unknown });
    const four = Array<string>(4).fill("missing.png");
    await expect(small.answer(four, question, { roi: "never" })).rejects.toMatchObject(overflow(/has 579 tokens, 576 of them for 4 pictures, but the context holds 512.*fewer pictures/));
    await expect(small.open(four)).rejects.toMatchObject(overflow(/576 of them for 4 pictures/));
    await expect(small.answer(four.slice(0, 2), question)).rejects.toMatchObject(overflow(/288 of them for 2 pictures, and 288 are kept free for 2 second looks/));
    await expect(small.answer(Array<string>(100_000).fill("missing.png"), question)).rejects.toMatchObject(overflow(/100000 pictures/));
    const { usage } = await small.answer([a, b], question, { roi: "never" });
    expect(usage.imageTokens).toBe(288);
    // to the token: what the prompt really has does not fit a context of as many
    await using tight = await loadModel({ ...demoModel(), contextSize: usage.promptTokens });
    await expect(tight.answer(four.slice(0, 2), question, { roi: "never" })).rejects.toMatchObject(overflow(new RegExp(`has ${usage.promptTokens} tokens, 288 of them`)));
    await expect(tight.answer(four.slice(0, 2), question, { roi: "never", choices: ["yes", "no"] })).rejects.toMatchObject(overflow(/288 of them/));
  });
});

test("aborted in each phase, and ended with its model; the next call is right", async () => {
  const expected = await model.answer([a, b], question, PLAIN);
  await using fresh = await loadModel({ sessionCacheBytes: 0 });
  const reason = new Error("enough");
  for (const ms of [0, 2, 5, 10, 20, 30, 40, 60]) {
    const stop = new AbortController();
    const call = fresh.answer([a, b], question, { maxTokens: 200, temperature: 5, seed: 1, signal: stop.signal });
    setTimeout(() => stop.abort(reason), ms);
    await call.then(() => {}, (error: unknown) => expect(error).toMatchObject({ code: "ABORTED", cause: reason }));
    const opening = fresh.open([a, b], { signal: AbortSignal.timeout(ms) });
    await opening.then((session) => session.dispose(), (error: unknown) => expect(error).toMatchObject({ code: "ABORTED" }));
  }
  expect(difference(await fresh.answer([a, b], question, PLAIN), expected)).toBeLessThan(1e-3);
  const session = await fresh.open([a, b]);
  const calls = [fresh.answer([a, b], question, { maxTokens: 200, temperature: 5 }), session.answer(question, { maxTokens: 200, temperature: 5 })];
  const settled = Promise.allSettled(calls);
  await session.dispose();
  await fresh.dispose();
  expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
