import { loadModel, type Model } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const codes = demoQuestions().filter((q) => q.kind !== "coarse");
let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

test("a session answers as the model does, and reuses its picture", async () => {
  const { image, question } = codes[0];
  const session = await model.open(image);
  const direct = await model.answer(image, question);
  const first = await session.answer(question);
  const second = await session.answer(question);
  expect([first.text, second.text]).toEqual([direct.text, direct.text]);
  expect([first.usage.reusedTokens, second.usage.reusedTokens]).toEqual([0, 147]);
  // the picture is neither decoded nor encoded again
  expect((await session.answer(question, { roi: "never" })).timings).toMatchObject({ decode: 0, vision: 0, rpn: 0 });
  expect((await session.predictRoI(question)).region).toEqual((await model.predictRoI(image, question)).region);
  const events = [];
  for await (const event of session.answerStream(question)) events.push(event.type);
  expect(events[events.length - 1]).toBe("done");
  expect((await session.encodeImage()).length).toBe(144 * 192);
  await session.dispose();
  await session.dispose();
  await expect(session.answer(question)).rejects.toMatchObject({ code: "DISPOSED" });
});

test("many sessions side by side, more than the context has room for, answer as alone", async () => {
  const some = codes.slice(0, 12);
  const alone = [];
  for (const { image, question } of some) {
    alone.push((await model.answer(image, question)).text);
  }
  const sessions = await Promise.all(some.map(({ image }) => model.open(image)));
  for (let round = 0; round < 2; round++) {
    const texts = await Promise.all(sessions.map((session, i) => session.answer(some[i].question).then(({ text }) => text)));
    expect(texts).toEqual(alone);
  }
  await Promise.all(sessions.map((session) => session.dispose()));
});

test("two pictures asked in turn are both kept: their cells lie in the pool anyway, and the cache counts what they add", async () => {
  // with its cells a picture would take 1.6 MB, without them it is 0.9 MB
  const tight = await loadModel({ sessionCacheBytes: 2.4e6 });
  const reused = [];
  for (let round = 0; round < 3; round++) {
    for (const { image, question } of codes.slice(0, 2)) {
      reused.push((await tight.answer(image, question, { maxTokens: 2 })).usage.reusedTokens);
    }
  }
  expect(reused).toEqual([0, 0, 147, 147, 147, 147]);
  await tight.dispose();
});

test("overlapping calls of every kind give what they give alone", async () => {
  const [a, b] = codes;
  const alone = await model.answer(a.image, a.question);
  const other = await model.answer(b.image, b.question, { roi: "never" });
  const [x, y, z, v] = await Promise.all([
    model.answer(a.image, a.question),
    model.answer(b.image, b.question, { roi: "never" }),
    model.predictRoI(a.image, a.question),
    model.encodeImage(b.image),
  ]);
  expect([x.text, y.text]).toEqual([alone.text, other.text]);
  expect(z.region).toEqual(alone.roi?.region);
  expect(v.length).toBe(144 * 192);
});

test("parallel decoding gives the same texts", async () => {
  const parallel = await loadModel({ parallel: 4 });
  const some = codes.slice(0, 8);
  const expected = [];
  for (const { image, question } of some) {
    expected.push((await model.answer(image, question)).text);
  }
  const texts = await Promise.all(some.map(({ image, question }) => parallel.answer(image, question).then(({ text }) => text)));
  expect(texts).toEqual(expected);
  await parallel.dispose();
});

test("pictures take turns: many questions about one do not hold up a single one about another", async () => {
  const [many, single] = await Promise.all([model.open(codes[0].image), model.open(codes[1].image)]);
  let answered = 0;
  const options = { roi: "never", maxTokens: 1 } as const;
  const crowd = Array.from({ length: 30 }, () => many.answer(codes[0].question, options).then(() => answered++));
  const before = await single.answer(codes[1].question, options).then(() => answered);
  expect(before).toBeLessThan(8); // those that run already, and one
  await Promise.all(crowd);
  await Promise.all([many.dispose(), single.dispose()]);
});

test("a disposed model rejects with DISPOSED, its calls under way and its sessions too", async () => {
  const short = await loadModel();
  const { image, question } = codes[0];
  const session = await short.open(image);
  const calls = Array.from({ length: 3 }, () => short.answer(image, question, { maxTokens: 100 }));
  const settled = Promise.allSettled(calls);
  await new Promise((resolve) => setImmediate(resolve));
  const disposing = [short.dispose(), short.dispose()];
  await Promise.all(disposing);
  // none can have ended by then: their pictures are decoded first
  expect(await settled).toEqual(Array(3).fill({ status: "rejected", reason: expect.objectContaining({ code: "DISPOSED" }) as unknown }));
  await expect(short.answer(image, question)).rejects.toMatchObject({ code: "DISPOSED" });
  await expect(short.predictRoI(image, question)).rejects.toMatchObject({ code: "DISPOSED" });
  await expect(short.open(image)).rejects.toMatchObject({ code: "DISPOSED" });
  await expect(short.encodeImage(image)).rejects.toMatchObject({ code: "DISPOSED" });
  await expect(session.answer(question)).rejects.toMatchObject({ code: "DISPOSED" });
});

test("await using disposes", async () => {
  let kept: Model;
  {
    await using scoped = await loadModel();
    await using session = await scoped.open(codes[0].image);
    expect((await session.answer(codes[0].question)).finishReason).toBe("stop");
    kept = scoped;
  }
  await expect(kept.answer(codes[0].image, "What?")).rejects.toMatchObject({ code: "DISPOSED" });
});

test("an answer without regions does not pay for the network; a region asked for later is the same", async () => {
  const { image, question } = codes[2];
  const expected = await model.predictRoI(image, question);
  const fresh = await loadModel({ sessionCacheBytes: 0 });
  const session = await fresh.open(image);
  expect((await session.answer(question, { roi: "never" })).timings.rpn).toBe(0);
  const roi = await session.predictRoI(question);
  expect(roi.region).toEqual(expected.region);
  // and the other way round: regions first stop at the branch layer, the answer completes the prefix
  const other = await fresh.open(image);
  const region = (await other.predictRoI(question)).region;
  const answer = await other.answer(question);
  expect([region, answer.text]).toEqual([expected.region, (await model.answer(image, question)).text]);
  await fresh.dispose();
});

test("in a context with hardly more room than the picture takes, regions and answers follow each other all the same", async () => {
  const { image, question } = codes[2];
  const small = await loadModel({ contextSize: 180 });
  const session = await small.open(image);
  const text = (await session.answer(question, { roi: "never" })).text;
  const { region } = await session.predictRoI(question);
  expect(region).toEqual((await model.predictRoI(image, question)).region);
  expect((await session.answer(question, { roi: "never" })).text).toBe(text);
  expect((await session.predictRoI(question)).region).toEqual(region);
  await small.dispose();
});
