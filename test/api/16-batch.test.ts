import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import sharp from "sharp";
import { z } from "zod";
import { batch, batchFile, type BatchItem, type BatchLine, type BatchResult, loadModel, type Model, SdRpnError } from "../../src/index";
import { demoQuestions, ROOT } from "../helpers/demo";

const questions = demoQuestions();
const items = questions.map(({ id, image, question }): BatchItem => ({ id, image, question }));
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-batch-"));
let model: Model;
beforeAll(async () => {
  model = await loadModel({ threads: 1 });
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const all = async <T>(results: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const result of results) found.push(result);
  return found;
};
const linesOf = (file: string): BatchLine[] => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as BatchLine);

describe("batch", () => {
  test("an answer for each item, in their order, the ones that answer gives", async () => {
    const results = await all(batch(model, items));
    expect(results.map(({ id }) => id)).toEqual(questions.map(({ id }) => id));
    for (const [at, { answer, image, question }] of results.slice(0, 8).entries()) {
      const alone = await model.answer(image, question);
      expect([image, question, answer!.text, answer!.roi!.region]).toEqual([items[at].image, items[at].question, alone.text, alone.roi!.region]);
    }
  });

  test("an item that fails is told with its code, and the rest goes on", async () => {
    const [good] = items;
    const broken = [
      { id: "gone", image: join(folder, "gone.jpg"), question: "q" },
      { id: "bytes", image: Buffer.from("not a picture"), question: "q" },
      { id: "long", image: good.image, question: "word ".repeat(5000) },
      { id: "blank", image: good.image, question: "  " },
      { image: good.image },
      { image: good.image, question: "q", colour: "red" },
      "a text",
      null,
      { id: 7, image: good.image, question: "q" },
      { id: "nothing", question: "q" },
    ];
    const results = await all(batch(model, [...broken, good] as BatchItem[]));
    expect(results.map(({ id, error }) => [id, error?.code])).toEqual([
      ["gone", "IMAGE_INVALID"], ["bytes", "IMAGE_INVALID"], ["long", "CONTEXT_OVERFLOW"], ["blank", "INVALID_ARGUMENT"], ["5", "INVALID_ARGUMENT"], ["6", "INVALID_ARGUMENT"],
      ["7", "INVALID_ARGUMENT"], ["8", "INVALID_ARGUMENT"], ["7", "INVALID_ARGUMENT"], ["nothing", "INVALID_ARGUMENT"], [good.id, undefined],
    ]);
    expect(results[4].error!.message).toBe("Expected non-empty string for item 5.question but received undefined");
    expect(results[10].answer!.text).toBe(questions[0].answer);
    expect(results[0].error).toBeInstanceOf(SdRpnError);
  });

  test("options of answers hold for every item, and type its value", async () => {
    const [, second] = demoQuestions("object");
    const one = [{ image: second.image, question: second.question }];
    const [shaped] = await all(batch(model, one, { format: { type: "json", schema: z.object({ code: z.string().max(4) }) }, logprobs: 2, maxTokens: 40 }));
    const value: { code: string } | null = shaped.answer!.value; // typed by the schema
    expect(typeof value!.code).toBe("string");
    expect(shaped.answer!.logprobs![0].top).toHaveLength(2);
    const [chosen] = await all(batch(model, one, { choices: ["Q", second.answer] }));
    expect(chosen.answer).toMatchObject({ text: second.answer, choices: [{ text: "Q" }, { text: second.answer }] });
    const [looked] = await all(batch(model, one, { method: "vicrop" }));
    expect(looked.answer!.roi!.method).toBe("vicrop");
    const [common] = await all(batch(model, [{ image: second.image }], { question: second.question }));
    expect(common).toMatchObject({ id: "1", question: second.question, answer: { text: second.answer } });
  });

  test("JSON.stringify gives what a file of answers has: answer.toJSON() with the item's id, image and question", async () => {
    const [{ image, question, id }] = items;
    const bytes = readFileSync(image as string);
    const [done, memory, failed, uri] = await all(batch(model, [{ id, image, question }, { image: bytes, question }, { image: "gone.jpg", question }, { image: `data:image/jpeg;base64,${bytes.toString("base64")}`, question }]));
    const [several] = await all(batch(model, [{ image: [image as string, bytes], question }], { roi: "never" }));
    expect(several.toJSON()).toMatchObject({ image: [image, null], answer: { usage: { imageTokens: 288 } } });
    expect(uri.toJSON()).toMatchObject({ image: null, answer: { text: done.answer!.text } });
    expect(JSON.parse(JSON.stringify(done))).toEqual({ id, image, question, answer: JSON.parse(JSON.stringify(done.answer)) });
    expect((JSON.parse(JSON.stringify(memory)) as BatchLine).image).toBeNull();
    expect(JSON.parse(JSON.stringify(failed))).toEqual({ id: "3", image: "gone.jpg", question, error: { code: "IMAGE_INVALID", message: failed.error!.message } });
  });

  test("items are taken as they are needed, and no more than are in work", async () => {
    let taken = 0;
    function* counted(): Generator<BatchItem> {
      for (const item of items) {
        taken++;
        yield item;
      }
    }
    let got = 0;
    for await (const result of batch(model, counted(), { concurrency: 2 })) {
      await sleep(120); // the two in work are done long before
      expect(result.error).toBeUndefined();
      got++;
      expect(taken).toBeLessThanOrEqual(got + 3);
      if (got === 6) break;
    }
    expect(taken).toBeLessThanOrEqual(9);
  });

  test("as many calls are in work as concurrency says", async () => {
    let now = 0;
    let most = 0;
    const original = model.answer.bind(model);
    const spy = jest.spyOn(model, "answer").mockImplementation((async (...args: Parameters<Model["answer"]>) => {
      most = Math.max(most, ++now);
      return original(...args).finally(() => now--);
    }) as never);
    for (const [concurrency, expected] of [[1, 1], [3, 3], [undefined, 4]] as const) {
      most = 0;
      await all(batch(model, items.slice(0, 12), { concurrency }));
      expect([concurrency, most]).toEqual([concurrency, expected]);
    }
    spy.mockRestore();
  });

  test("an input that fails is told behind the answers of what it gave", async () => {
    const mine = new Error("the database went away");
    async function* failing(): AsyncGenerator<BatchItem> {
      yield* items.slice(0, 3);
      throw mine;
    }
    const got: string[] = [];
    await expect((async () => {
      for await (const { id } of batch(model, failing())) got.push(id);
    })()).rejects.toBe(mine);
    expect(got).toEqual(questions.slice(0, 3).map(({ id }) => id));
    expect((await model.answer(questions[0].image, questions[0].question)).text).toBe(questions[0].answer);
  });

  test("an abort, before, between and while the input is waited for, and a consumer that leaves: the next call is right", async () => {
    const reason = new Error("enough");
    await expect(all(batch(model, items, { signal: AbortSignal.abort(reason) }))).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    const controller = new AbortController();
    let got = 0;
    await expect((async () => {
      for await (const _ of batch(model, items, { signal: controller.signal })) if (++got === 3) controller.abort(reason);
    })()).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect(got).toBeLessThan(8);
    const waiting = new AbortController();
    async function* pausing(): AsyncGenerator<BatchItem> {
      yield items[0];
      await new Promise(() => {});
    }
    const results = batch(model, pausing(), { signal: waiting.signal });
    expect((await results.next()).value).toMatchObject({ id: questions[0].id });
    const next = results.next();
    waiting.abort(reason);
    await expect(next).rejects.toMatchObject({ code: "ABORTED" });
    for await (const _ of batch(model, items)) break;
    expect((await model.answer(questions[1].image, questions[1].question)).text).toBe(questions[1].answer);
  });

  test.each<[string, unknown, object, string, RegExp]>([
    ["no items", undefined, {}, "INVALID_ARGUMENT", /Expected iterable of \{ image, question \} for items but received undefined/],
    ["a text for items", "a.jpg", {}, "INVALID_ARGUMENT", /for items/],
    ["onToken", [], { onToken: () => {} }, "INVALID_ARGUMENT", /Expected no onToken/],
    ["a misspelt option", [], { maxToken: 3 }, "INVALID_ARGUMENT", /did you mean maxTokens/],
    ["concurrency of 0", [], { concurrency: 0 }, "INVALID_ARGUMENT", /for concurrency/],
    ["a blank question", [], { question: " " }, "INVALID_ARGUMENT", /for question/],
    ["attention without heads", [], { method: "attention" }, "INVALID_ARGUMENT", /sd-rpn heads/],
    ["a gate where there is none", [], { gate: 0.5 }, "INVALID_ARGUMENT", /gate/],
    ["a budget where views have one size", [], { imageTokens: { min: 4, max: 9 } }, "INVALID_ARGUMENT", /imageTokens/],
    ["a grammar with a fault", [], { grammar: "root ::= (" }, "INVALID_ARGUMENT", /grammar|root/],
  ])("%s: refused before any work", async (_name, given, options, code, message) => {
    await expect(all(batch(model, given as never, options))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("by default a batch needs no place in the queue; one that needs more than there are is told", async () => {
    await using small = await loadModel({ threads: 1, maxQueue: 0, parallel: 2 });
    expect((await all(batch(small, items.slice(0, 12)))).map(({ answer }) => answer?.text)).toEqual(questions.slice(0, 12).map(({ answer }) => answer));
    await expect(all(batch(small, items, { concurrency: 20 }))).rejects.toMatchObject({ code: "QUEUE_FULL" });
    expect((await all(batch(small, items.slice(0, 2)))).map(({ answer }) => answer?.text)).toEqual(questions.slice(0, 2).map(({ answer }) => answer));
  });

  test("a session is no model, and a disposed model answers nothing more", async () => {
    await using session = await model.open(questions[0].image);
    await expect(all(batch(session as never, items))).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("and not a session") });
    const other = await loadModel({ threads: 1 });
    let got = 0;
    await expect((async () => {
      for await (const _ of batch(other, items)) if (++got === 2) void other.dispose();
    })()).rejects.toMatchObject({ code: "DISPOSED" });
  });
});

/** What of a line does not depend on time and on what was asked before. */
function steady({ answer, ...rest }: BatchLine): unknown {
  return answer ? { ...rest, text: answer.text, region: answer.roi?.region, tokens: answer.usage.completionTokens } : rest;
}

describe("batchFile", () => {
  const data = join(folder, "questions.jsonl");
  const relative = questions.slice(0, 10).map(({ id, image, question }) => ({ id, image: image.slice(join(ROOT, "demo").length + 1), question }));
  beforeAll(() => writeFileSync(data, [...relative.slice(0, 4), { id: "gone", image: "gone.jpg", question: "q" }, ...relative.slice(4)].map((line) => `${JSON.stringify(line)}\n`).join("")));
  const base = (): { data: string; images: string } => ({ data, images: join(ROOT, "demo") });

  test("a question file into JSON Lines, the failed item with its code; a second call has nothing to do", async () => {
    const out = join(folder, "answers.jsonl");
    const progress: number[] = [];
    const result = await batchFile(model, { ...base(), out, onProgress: ({ done }) => progress.push(done) });
    expect(result).toEqual({ done: 11, total: 11, failed: 1 });
    expect(progress).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const lines = linesOf(out);
    expect(lines.map(({ id, image, question }) => ({ id, image, question }))).toEqual([...relative.slice(0, 4), { id: "gone", image: "gone.jpg", question: "q" }, ...relative.slice(4)]);
    expect(lines.filter(({ answer }) => answer).map(({ answer }) => answer!.text)).toEqual(questions.slice(0, 10).map(({ answer }) => answer));
    expect(lines[4].error).toMatchObject({ code: "IMAGE_INVALID", message: expect.stringContaining("not found") });
    const before = readFileSync(out);
    expect(await batchFile(model, { ...base(), out })).toEqual({ done: 11, total: 11, failed: 0 });
    expect(readFileSync(out).equals(before)).toBe(true);
  });

  test("cut anywhere it goes on, each item once; items that are added are answered", async () => {
    const out = join(folder, "cut.jsonl");
    await batchFile(model, { ...base(), out });
    const whole = readFileSync(out);
    const steadyLines = linesOf(out).map(steady);
    for (const share of [0, 0.001, 0.3, 0.62, 0.999]) {
      writeFileSync(out, whole.subarray(0, Math.floor(share * whole.length)));
      await batchFile(model, { ...base(), out });
      expect(linesOf(out).map(steady)).toEqual(steadyLines);
    }
    const more = join(folder, "more.jsonl");
    writeFileSync(more, `${readFileSync(data, "utf8")}${JSON.stringify({ ...relative[0], id: "new" })}\n`);
    expect(await batchFile(model, { ...base(), data: more, out })).toEqual({ done: 12, total: 12, failed: 0 });
    expect(linesOf(out).map(({ id }) => id).slice(-2)).toEqual([relative[9].id, "new"]);
  });

  test("a folder into CSV, the folder's pictures by path, without hidden ones and the overlays", async () => {
    const pictures = join(folder, "pictures");
    mkdirSync(join(pictures, "sub", ".hidden"), { recursive: true });
    const small = await sharp(questions[0].image).resize(200).png().toBuffer();
    for (const name of ["b.png", "a.PNG", join("sub", "a.png"), join("sub", ".x.png"), join("sub", ".hidden", "c.png"), "notes.txt"]) writeFileSync(join(pictures, name), small);
    writeFileSync(join(pictures, "old.bmp"), "BM, and no picture");
    const out = join(folder, "folder.csv");
    const options = { data: pictures, question: 'Which code, "under ROOM"?', out, overlay: join(pictures, "seen"), roi: "always" } as const;
    expect(await batchFile(model, options)).toMatchObject({ done: 4, total: 4 });
    const text = readFileSync(out, "utf8").trim().split("\n");
    expect(text[0]).toBe("id,image,question,text,confidence,value,finishReason,usedRoI,x,y,width,height,hints,promptTokens,completionTokens,ms,error,message");
    expect(text.slice(1).map((line) => line.split(",")[0])).toEqual(["a.PNG", "b.png", "old.bmp", "sub/a.png"]);
    expect(text[1]).toMatch(/^a\.PNG,a\.PNG,"Which code, ""under ROOM""\?",[^,]*,,,stop,true,[\d.]+,[\d.]+,[\d.]+,[\d.]+,/);
    expect(text[3]).toMatch(/,IMAGE_INVALID,/);
    expect(readdirSync(options.overlay).sort()).toEqual(["a.PNG.png", "b.png.png", "sub_a.png.png"]);
    expect(await sharp(join(options.overlay, "b.png.png")).metadata()).toMatchObject({ format: "png", width: 200 });
    expect(await batchFile(model, options)).toMatchObject({ done: 4, total: 4 }); // overlays are no pictures to ask about
  });

  test("overlays never take the place of pictures, nor become ones; a folder around the pictures is fine", async () => {
    const place = join(folder, "around");
    const pictures = join(place, "pictures");
    mkdirSync(pictures, { recursive: true });
    const small = await sharp(questions[0].image).resize(200).png().toBuffer();
    writeFileSync(join(pictures, "a.png"), small);
    const asking = join(place, "qa.jsonl");
    writeFileSync(asking, `${JSON.stringify({ id: "A", image: "a.png", question: "q" })}\n`);
    await expect(batchFile(model, { data: asking, images: pictures, out: join(place, "o.jsonl"), overlay: pictures, roi: "always" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/written over .*a\.png/) });
    expect(readFileSync(join(pictures, "a.png")).equals(small)).toBe(true);
    const whole = { data: pictures, question: "q", out: join(place, "o.csv"), roi: "always" } as const;
    await expect(batchFile(model, { ...whole, overlay: pictures })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/for overlay/) });
    expect(await batchFile(model, { ...whole, overlay: place })).toMatchObject({ done: 1, failed: 0 });
    expect(readdirSync(place).sort()).toEqual(["a.png.png", "o.csv", "o.csv.run.json", "pictures", "qa.jsonl"]);
  });

  test("choices and values are in the table", async () => {
    const out = join(folder, "choices.csv");
    await batchFile(model, { ...base(), out, choices: ["S0Z", "star"] });
    expect(readFileSync(out, "utf8").split("\n")[1]).toMatch(/^900000-0,[^,]+,[^,]+,S0Z,0\.\d+,,stop,true,/);
  });

  test("other options, another model and another file are refused, with what differs; a file that was deleted begins anew", async () => {
    const out = join(folder, "kept.jsonl");
    const short = join(folder, "short.jsonl");
    writeFileSync(short, `${JSON.stringify(relative[0])}\n`);
    await batchFile(model, { ...base(), data: short, out, maxTokens: 20 });
    const before = readFileSync(out, "utf8");
    const again = (more: object, who = model) => batchFile(who, { ...base(), data: short, out, maxTokens: 20, ...more });
    await expect(again({ maxTokens: 21 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/kept\.jsonl was begun otherwise: maxTokens is 20 there and 21 here/) });
    await expect(again({ question: "another?" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/question is "?missing/) });
    await expect(again({ format: { type: "json", schema: {} } })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/answerFormat/) });
    const plain = await loadModel({ model: join(ROOT, "demo", "pico-llava-f16.gguf"), mmproj: join(ROOT, "demo", "pico-mmproj-f16.gguf"), threads: 1 });
    await expect(again({}, plain)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/rpn is \{/) });
    await expect(batchFile(plain, { ...base(), out: join(folder, "o.jsonl"), overlay: folder })).rejects.toMatchObject({ code: "RPN_NOT_LOADED" });
    await plain.dispose();
    expect(readFileSync(out, "utf8")).toBe(before);
    await again({ concurrency: 2 }); // how fast, not what
    rmSync(out);
    expect(await again({ maxTokens: 22 })).toMatchObject({ done: 1 });
    const mine = join(folder, "mine.jsonl");
    writeFileSync(mine, '{"id":"a","note":"mine"}\n');
    await expect(batchFile(model, { ...base(), out: mine })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/another file/) });
    expect(readFileSync(mine, "utf8")).toBe('{"id":"a","note":"mine"}\n');
  });

  test.each<[string, () => object, string, RegExp]>([
    ["a name that tells no format", () => ({ out: join(folder, "x.txt") }), "INVALID_ARGUMENT", /--format/],
    ["a folder without a question", () => ({ data: join(ROOT, "demo", "images"), images: undefined }), "INVALID_ARGUMENT", /--question/],
    ["a folder with --images", () => ({ data: join(ROOT, "demo", "images"), question: "q" }), "INVALID_ARGUMENT", /for images/],
    ["a folder without pictures", () => ({ data: join(ROOT, "scripts"), images: undefined, question: "q" }), "DATA_INVALID", /none of its \d+ files/],
    ["no file", () => ({ data: join(folder, "nowhere.jsonl") }), "IO_ERROR", /nowhere/],
    ["an out that is a folder", () => ({ out: folder, fileFormat: "csv" }), "IO_ERROR", /it is a folder/],
    ["overlays of answers that look nowhere", () => ({ overlay: folder, roi: "never" }), "INVALID_ARGUMENT", /roi "auto" or "always"/],
    ["an overlay folder that is a file", () => ({ overlay: data }), "IO_ERROR", /overlays/],
    ["a broken line", () => ({ data: join(folder, "broken.jsonl") }), "DATA_INVALID", /broken\.jsonl:2:\d+: Expected JSON/],
    ["an id twice", () => ({ data: join(folder, "twice.jsonl") }), "DATA_INVALID", /twice\.jsonl:2:/],
  ])("%s: a typed error", async (_name, options, code, message) => {
    writeFileSync(join(folder, "broken.jsonl"), '{"image":"a.jpg","question":"q"}\n{"image":\n');
    writeFileSync(join(folder, "twice.jsonl"), '{"id":"a","image":"a.jpg","question":"q"}\n{"id":"a","image":"a.jpg","question":"q"}\n');
    await expect(batchFile(model, { ...base(), out: join(folder, "never.jsonl"), ...options() })).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("a line without a question takes the common one; without that it is told with its place", async () => {
    const file = join(folder, "bare.jsonl");
    writeFileSync(file, `${JSON.stringify({ image: relative[0].image })}\n`);
    const out = join(folder, "bare-out.jsonl");
    await expect(batchFile(model, { ...base(), data: file, out })).rejects.toMatchObject({ code: "DATA_INVALID", line: 1 });
    await batchFile(model, { ...base(), data: file, out, question: relative[0].question });
    expect(linesOf(out)[0]).toMatchObject({ id: "1", question: relative[0].question, answer: { text: questions[0].answer } });
  });

  test("an abort leaves whole lines, and the next call goes on", async () => {
    const out = join(folder, "aborted.jsonl");
    const controller = new AbortController();
    const onProgress = ({ done }: { done: number }): void => void (done === 4 && controller.abort());
    await expect(batchFile(model, { ...base(), out, onProgress, signal: controller.signal })).rejects.toMatchObject({ code: "ABORTED" });
    const kept = linesOf(out).length;
    expect(kept).toBeGreaterThanOrEqual(4);
    expect(kept).toBeLessThan(11);
    await batchFile(model, { ...base(), out });
    expect(new Set(linesOf(out).map(({ id }) => id)).size).toBe(11);
    expect(linesOf(out)).toHaveLength(11);
  });
});

test("results are typed", () => {
  const check = (result: BatchResult): string => (result.error ? result.error.code : result.answer.text);
  expect(typeof check).toBe("function");
});
