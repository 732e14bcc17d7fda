import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readBoxes } from "../../../src/eval/boxes-file";
import { digestOf, readItems } from "../../../src/eval/items";
import { cropsOf, mapOf, toPrediction } from "../../../src/eval/prediction";
import { pickExamples } from "../../../src/eval/report/examples";
import { speeds } from "../../../src/eval/speed";
import type { EvalItem, Task } from "../../../src/eval/task";
import { taskOf } from "../../../src/eval/tasks";
import { item, rowsOf } from "./fake-run";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-eval-parts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the items of a run", () => {
  const of = (items: EvalItem[]): Task => ({
    ...taskOf("custom"),
    async *read(data) {
      yield* items.filter(({ id }) => data !== "half" || Number(id) % 2 === 0);
    },
  });
  const hundred = Array.from({ length: 100 }, (_, i) => item(String(i), { imageName: `${Math.floor(i / 2)}.png` }));

  test("a development share takes whole pictures, the same ones whatever the order", async () => {
    const { items, development } = await readItems(of(hundred), { data: "x", development: { share: 0.3 } });
    expect(items.length + development.length).toBe(100);
    expect(development.length).toBeGreaterThan(15);
    expect(development.length).toBeLessThan(45);
    const names = new Set(development.map(({ imageName }) => imageName));
    expect(items.some(({ imageName }) => names.has(imageName))).toBe(false);
    const backwards = await readItems(of([...hundred].reverse()), { data: "x", development: { share: 0.3 } });
    expect(new Set(backwards.development.map(({ imageName }) => imageName))).toEqual(names);
  });

  test("a limit counts reported items alone", async () => {
    const { items, development } = await readItems(of(hundred), { data: "x", limit: 10, development: { share: 0.3 } });
    expect(items).toHaveLength(10);
    expect(development.length).toBeGreaterThan(15);
    expect((await readItems(of(hundred), { data: "x", limit: 10 })).items.map(({ id }) => id)).toEqual(hundred.slice(0, 10).map(({ id }) => id));
  });

  test("a development file may not share pictures with what is reported", async () => {
    await expect(readItems(of(hundred), { data: "x", development: { data: "half" } })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(/without the pictures that are reported.*0\.png/),
    });
  });

  test("a part without items is refused", async () => {
    await expect(readItems(of(hundred.slice(0, 1)), { data: "x", development: { share: 1e-9 } })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(readItems(of(hundred.slice(0, 1)), { data: "x", development: { share: 1 - 1e-9 } })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("the digest changes with anything that is asked, and with nothing else", () => {
    const digest = digestOf(hundred);
    expect(digestOf(hundred.map((one) => ({ ...one, image: "elsewhere" })))).toBe(digest);
    expect(digestOf(hundred.map((one, i) => (i === 7 ? { ...one, answers: ["no"] } : one)))).not.toBe(digest);
    expect(digestOf(hundred.map((one, i) => (i === 7 ? { ...one, prompt: "?" } : one)))).not.toBe(digest);
  });
});

describe("files of regions", () => {
  const file = join(folder, "boxes.jsonl");
  const items = [item("a"), item("7")];
  const write = (...lines: unknown[]): void => writeFileSync(file, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));

  test("boxes by item, none being one view; ids may be numbers", async () => {
    write({ id: "a", boxes: [[1, 2, 4, 6]] }, { id: 7, boxes: [] });
    expect((await readBoxes(file, items)).boxes).toEqual(new Map([["a", [{ x: 1, y: 2, width: 3, height: 4 }]], ["7", []]]));
  });

  test.each<[string, unknown[], RegExp, { line: number; column: number }]>([
    ["a missing item", [{ id: "a", boxes: [] }], /1 are missing, the first of them 7/, { line: 1, column: 1 }],
    ["an id twice", [{ id: "a", boxes: [] }, { id: "a", boxes: [] }], /a occurs twice/, { line: 2, column: 7 }],
    ["a box without area", [{ id: "a", boxes: [[0, 0, 5, 5], [4, 0, 4, 5]] }], /x0 < x1 .* \[4, 0, 4, 5\]/, { line: 1, column: 30 }],
    ["three numbers", ["", { id: "a", boxes: [[0, 0, 5]] }], /box \[x0, y0, x1, y1\]/, { line: 2, column: 20 }],
    ["no JSON", ["{"], /Expected JSON/, { line: 1, column: 2 }],
  ])("%s is told with file, line and column", async (_, lines, message, place) => {
    write(...lines);
    await expect(readBoxes(file, items)).rejects.toMatchObject({ code: "DATA_INVALID", message: expect.stringMatching(message), file, ...place });
  });
});

test("a prediction keeps crops and map as far as a page needs them", () => {
  const timings = { decode: 0, vision: 0, prefill: 0, rpn: 0, crop: 0, generate: 0, look: 0, total: 0 };
  const map = { width: 4, height: 1, data: Float32Array.of(0, 0.25, 1, 2) };
  const crops = [{ x: 1, y: 2, width: 30, height: 40 }];
  const tokens = { prompt: 1, roi: 1, completion: 1, look: 0 };
  const row = toPrediction({ index: 0, id: "a", method: "rpn" }, { text: "x", finishReason: "stop", crops, keep: [1, 2, 3], map, tokens, timings }, null);
  expect(row).toMatchObject({ crops: [[1, 2, 31, 42]], kept: 3, score: null, parsed: true });
  expect(cropsOf(row)).toEqual(crops);
  const back = mapOf(row, { width: 4, height: 1 })!;
  expect([back.width, back.height]).toEqual([4, 1]);
  expect([...back.data].map((value) => Math.round(value * 100))).toEqual([0, 25, 100, 100]);
});

describe("examples", () => {
  const none = rowsOf("none", [1, 1, 0, 0, 0, 0, 1]);
  const rpn = rowsOf("rpn", [0, 1, 1, 1, 1, 0, 1]);
  const vicrop = rowsOf("vicrop", [0, 0, 1, 0, 0, 0, 1]);
  const predictions = new Map([["none", none], ["rpn", rpn], ["vicrop", vicrop]]);

  test("won and lost ones of each method in turn, shown in the order of the data", () => {
    expect(pickExamples(predictions, 3)).toEqual({
      total: 5,
      shown: [
        { position: 0, won: [], lost: ["rpn", "vicrop"] },
        { position: 1, won: [], lost: ["vicrop"] },
        { position: 2, won: ["rpn", "vicrop"], lost: [] },
      ],
    });
    expect(pickExamples(predictions, 40).shown.map(({ position }) => position)).toEqual([0, 1, 2, 3, 4]);
  });

  test("without one view there is nothing to win against", () => {
    expect(pickExamples(new Map([["rpn", rpn]]), 40)).toEqual({ shown: [], total: 0 });
  });
});

describe("speed", () => {
  const timing = (index: number, method: string, total: number, first = false) => ({
    index, id: String(index), method, first,
    timings: { decode: 5, vision: total / 2, prefill: total / 4, rpn: 0, look: 0, crop: 0, generate: total / 4, total },
  });
  const predictions = new Map([["none", rowsOf("none", [1, 1, 1])], ["rpn", rowsOf("rpn", [1, 1, 1])]]);

  test("sums the items that every method was timed on, without those that pay for the start", () => {
    const timings = [timing(0, "none", 9000, true), timing(0, "rpn", 9000, true), timing(1, "none", 100), timing(1, "rpn", 300), timing(2, "none", 300), timing(2, "rpn", 500), timing(3, "none", 1)];
    const [none, rpn] = speeds(["none", "rpn"], timings, predictions);
    expect(none).toMatchObject({ items: 2, perSecond: 5, relative: 1, tokensPerSecond: 10, phases: { vision: 100, total: 200, decode: 5 } });
    expect(rpn).toMatchObject({ items: 2, perSecond: 2.5, relative: 0.5 });
  });

  test("one item alone is counted, first or not", () => {
    expect(speeds(["none"], [timing(0, "none", 200, true)], predictions)).toMatchObject([{ items: 1, perSecond: 5 }]);
  });
});
