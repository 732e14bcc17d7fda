import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReadOptions, SkippedItem, TaskName } from "../../src/eval/task";
import { taskOf } from "../../src/eval/tasks/index";
import { CUSTOM, draw, HRBENCH, HRBENCH_COLUMNS, OCRBENCH, POPE, TEXTVQA, tsv, VSTAR, writeBenchmark } from "../helpers/benchmark-files";

let folder: string;
let picture: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sd-rpn-data-"));
  await writeBenchmark("textvqa", join(folder, "textvqa"));
  await writeBenchmark("vstar", join(folder, "vstar"));
  await writeBenchmark("custom", join(folder, "custom"));
  await writeBenchmark("ocrbench", join(folder, "ocrbench"));
  await writeBenchmark("pope", join(folder, "pope"));
  picture = (await draw(20)).toString("base64");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function ids(task: TaskName, data: string, options?: ReadOptions): Promise<string[]> {
  const found = [];
  for await (const { id } of taskOf(task).read(data, options)) {
    found.push(id);
  }
  return found;
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const textvqa = (data: unknown[], indent?: number): string => JSON.stringify({ dataset_version: "0.5.1", data }, null, indent);
const lines = (records: unknown[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const without = (record: object, name: string): object => Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
const hrbench = (...rows: (string | number)[][]): string => tsv([HRBENCH_COLUMNS, ...rows]);
const row = (index: number, ...change: [number, string | number][]): (string | number)[] => {
  const cells = [...HRBENCH[index], picture];
  change.forEach(([at, value]) => (cells[at] = value));
  return cells;
};

interface Case {
  what: string;
  task: TaskName;
  /** the file's name, in the folder of a release whose pictures are there */
  name: string;
  text: () => string;
  /** begins, where it stands last in the text, at the place that is named; "" is the text's end, undefined its start */
  at?: string;
  says: string;
}

const CASES: Case[] = [
  // JSON
  { what: "JSON that breaks off", task: "textvqa", name: "textvqa/torn.json", text: () => textvqa(TEXTVQA, 1).slice(0, -30), at: "", says: "Expected JSON but the file ends" },
  { what: "JSON with a stray character", task: "textvqa", name: "textvqa/stray.json", text: () => '{\n "data": [\n  {"question": what}\n ]\n}', at: 'what}', says: 'Expected JSON but received "what}' },
  { what: "JSON without records", task: "textvqa", name: "textvqa/shape.json", text: () => '{"questions": []}\n', says: "Expected the column question but there are only questions" },
  { what: "a JSON value that is no object", task: "textvqa", name: "textvqa/value.json", text: () => textvqa([TEXTVQA[0], 5]), at: '5]}', says: "Expected an object for record 2" },
  { what: "a number where the records should be", task: "textvqa", name: "textvqa/number.json", text: () => "5", says: "Expected an array of records" },
  { what: "no record at all", task: "textvqa", name: "textvqa/none.json", text: () => '{\n"data": []}', says: "Expected at least one record but there is none" },
  { what: "a missing column in JSON", task: "textvqa", name: "textvqa/column.json", text: () => textvqa([TEXTVQA[0], without(TEXTVQA[1], "question_id")], 1), at: '{\n   "question": "what does', says: "Expected the column question_id but there are only question, image_id" },
  { what: "a value of another type in JSON", task: "textvqa", name: "textvqa/type.json", text: () => textvqa([{ ...TEXTVQA[0], answers: [1, {}] }], 1), at: '[\n    1', says: 'Expected a string or a list of strings for answers but received [1,{}]' },
  { what: "an empty question", task: "textvqa", name: "textvqa/empty.json", text: () => textvqa([{ ...TEXTVQA[0], question: " " }]), at: '" "', says: "Expected a non-empty string for question" },
  { what: "a question that comes twice", task: "textvqa", name: "textvqa/twice.json", text: () => textvqa([TEXTVQA[0], TEXTVQA[0]], 1), at: '{\n   "question": "what is the BRAND', says: "Expected each question once but 34602 is in record 1 of" },
  { what: "a picture that is missing", task: "textvqa", name: "textvqa/picture.json", text: () => textvqa([TEXTVQA[0], { ...TEXTVQA[1], image_id: "nowhere" }], 1), at: '"nowhere"', says: "Expected the picture nowhere.jpg in" },
  { what: "an array of JSON", task: "ocrbench", name: "ocrbench/column.json", text: () => JSON.stringify([OCRBENCH[0], without(OCRBENCH[1], "dataset_name")], null, 4), at: '{\n        "id": 2843,\n        "image_path": "svt', says: "Expected the column dataset_name or dataset" },
  // JSONL
  { what: "a broken line", task: "vstar", name: "vstar/broken.jsonl", text: () => `${lines([VSTAR[0]])}\n{"image": "a.jpg",}\n`, at: '}\n', says: "Expected JSON" },
  { what: "a line with nothing in it", task: "vstar", name: "vstar/bytes.jsonl", text: () => "{}", says: "Expected the column text" },
  { what: "a missing column in JSONL", task: "vstar", name: "vstar/column.jsonl", text: () => lines([VSTAR[0], without(VSTAR[1], "label")]), at: '{"image":"relative', says: "Expected the column label but there are only image, text, category, question_id" },
  { what: "a label that is no letter", task: "vstar", name: "vstar/label.jsonl", text: () => lines([{ label: "E", ...without(VSTAR[0], "label") }]), at: '"E"', says: 'Expected a letter from A to D for label but received "E"' },
  { what: "a line of an array", task: "vstar", name: "vstar/array.jsonl", text: () => `${lines([VSTAR[0]])}[]\n`, at: '[]\n', says: "Expected object for line" },
  { what: "a file of nothing", task: "vstar", name: "vstar/nothing.jsonl", text: () => "\n", says: "Expected at least one line of JSON" },
  { what: "a picture that is missing in JSONL", task: "vstar", name: "vstar/picture.jsonl", text: () => lines([{ ...VSTAR[0], image: "direct_attributes/none.jpg" }]), at: '"direct_attributes/none.jpg"', says: "Expected the picture direct_attributes/none.jpg in" },
  { what: "JSON lines in a file named .json", task: "pope", name: "pope/coco_random.json", text: () => `${lines(POPE.random)}{"question_id": 7\n`, at: '\n', says: "Expected JSON but the line ends" },
  { what: "an answer that is neither yes nor no", task: "pope", name: "pope/label.json", text: () => lines([{ ...POPE.random[0], label: "maybe" }]), at: '"maybe"', says: 'Expected yes or no for label but received "maybe"' },
  // custom
  { what: "options that are not texts", task: "custom", name: "custom/options.jsonl", text: () => lines([{ ...CUSTOM[2], options: ["yes"] }]), at: '["yes"]', says: "Expected a list of 2 to 26 texts" },
  { what: "an answer that is no option", task: "custom", name: "custom/answer.jsonl", text: () => lines([{ ...CUSTOM[2], answer: "perhaps" }]), at: '"perhaps"', says: "Expected a letter or a text of the options for answer" },
  { what: "a box inside out", task: "custom", name: "custom/box.jsonl", text: () => lines([{ box: [5, 5, 5, 9], ...without(CUSTOM[0], "box") }]), at: '[5,5,5,9]', says: "Expected a box [x0, y0, x1, y1] with x0 < x1" },
  { what: "boxes of the wrong form", task: "custom", name: "custom/boxes.jsonl", text: () => lines([{ boxes: [[1, 2, 3]], ...without(CUSTOM[0], "box") }]), at: '[[1,2,3]]', says: "Expected a list of boxes" },
  // TSV
  { what: "a row that is too short", task: "hrbench4k", name: "short.tsv", text: () => hrbench(row(0), row(1).slice(0, 4)), at: 'single\n', says: "Expected 10 cells, as the first row has, but there are 4" },
  { what: "a row that is too long", task: "hrbench4k", name: "long.tsv", text: () => hrbench([...row(2), "x"]), at: 'x\n', says: "but there are 11" },
  { what: "a missing column in TSV", task: "hrbench4k", name: "column.tsv", text: () => hrbench(row(0)).replace("cycle_category", "cycle"), says: "Expected the column cycle_category but there are only index, question" },
  { what: "a missing value in TSV", task: "hrbench4k", name: "value.tsv", text: () => hrbench(row(0), row(2, [3, ""])), at: '\tleft', says: "Expected a value for category" },
  { what: "a column that comes twice", task: "hrbench4k", name: "columns.tsv", text: () => hrbench(row(0)).replace("cycle_category", "A"), at: 'A\timage', says: "Expected each column once but A occurs twice" },
  { what: "an answer that is none of the choices", task: "hrbench4k", name: "letter.tsv", text: () => hrbench(row(2, [2, "E"])), at: 'E\tcross', says: "Expected the letter of one of the choices A, B, C, D for answer" },
  { what: "a quote that is never closed", task: "hrbench4k", name: "quote.tsv", text: () => `${hrbench(row(2))}1\t"What`, at: '1\t"What', says: "Expected a closing quote but the file ends" },
  { what: "a picture that is missing in TSV", task: "hrbench4k", name: "picture.tsv", text: () => hrbench(row(0), row(2, [9, ""])), at: '\n', says: "Expected a picture for image of question 2 but there is none" },
  { what: "a question that comes twice in TSV", task: "hrbench4k", name: "twice.tsv", text: () => hrbench(row(0), row(2), row(0)), at: '0\t"What', says: "Expected each question once but 0 is in record 1 of" },
  { what: "a TSV of nothing but names", task: "hrbench4k", name: "names.tsv", text: () => hrbench(), says: "Expected at least one record" },
];

test.each(CASES)("$what", async ({ task, name, text, at, says }) => {
  const file = write(name, text());
  const before = text().slice(0, at === undefined ? 0 : text().lastIndexOf(at)).split("\n");
  const [line, column] = [before.length, before[before.length - 1].length + 1];
  const error = await ids(task, file).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "DATA_INVALID", file, line, column });
  expect((error as Error).message).toContain(`${file}:${line}:${column}: `);
  expect((error as Error).message).toContain(says);
});

test("bytes that are no UTF-8 in TSV", async () => {
  const file = join(folder, "latin.tsv");
  writeFileSync(file, Buffer.from(hrbench(row(2)).replace("man", "m\u00e4n"), "latin1"));
  await expect(ids("hrbench4k", file)).rejects.toMatchObject({ code: "DATA_INVALID", file, line: 2, column: 3 });
});

test("an annotation beside a V* picture that is broken", async () => {
  await writeBenchmark("vstar", join(folder, "annotated"));
  const file = join(folder, "annotated", "direct_attributes", "sa_4690.json");
  writeFileSync(file, '{"bbox": [[1, 2]]}');
  await expect(ids("vstar", join(folder, "annotated", "test_questions.jsonl"))).rejects.toMatchObject({ code: "DATA_INVALID", file });
});

describe("pictures that are missing are counted", () => {
  test.each<[TaskName, string, () => string, string[], Partial<SkippedItem>]>([
    ["textvqa", "textvqa/skip.json", () => textvqa([{ ...TEXTVQA[0], image_id: "none" }, TEXTVQA[1]]), ["34603"], { id: "34602", imageName: "none.jpg" }],
    ["vstar", "vstar/skip.jsonl", () => lines([VSTAR[0], { ...VSTAR[1], image: "none.jpg" }]), ["direct_attributes-0"], { id: "relative_position-0", imageName: "none.jpg" }],
    ["hrbench4k", "skip.tsv", () => hrbench(row(0), row(2, [9, ""])), ["0"], { id: "2", imageName: "image" }],
  ])("%s", async (task, name, text, left, skipped) => {
    const passedOver: SkippedItem[] = [];
    const file = write(name, text());
    expect(await ids(task, file, { skipMissing: true, onSkip: (item) => passedOver.push(item) })).toEqual(left);
    expect(passedOver).toEqual([expect.objectContaining(skipped)]);
    expect(passedOver[0].place).toMatchObject({ file, line: expect.any(Number), column: expect.any(Number) });
  });

  test("all of them missing is a wrong folder", async () => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const options = { skipMissing: true, images: join(folder, "empty") };
    await expect(ids("textvqa", write("textvqa/all.json", textvqa(TEXTVQA)), options)).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringContaining("where none of the data's pictures is"),
    });
  });
});

describe("what is no matter of the data", () => {
  test("a file that is not there, a kind that is not known, a folder of nothing", async () => {
    await expect(ids("textvqa", join(folder, "absent.json"))).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("absent.json") });
    await expect(ids("textvqa", write("data.csv", "a,b"))).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("file that ends with .json, .jsonl, .tsv or .parquet for data") });
    mkdirSync(join(folder, "empty"), { recursive: true });
    await expect(ids("textvqa", join(folder, "empty"))).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringContaining("Expected TextVQA_0.5.1_val.json or Parquet files in") });
  });

  test("options: a part that the task does not have, an unknown name", async () => {
    await expect(ids("textvqa", folder, { split: "train" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("validation or test for split") });
    await expect(ids("textvqa", folder, { skipMising: true } as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: "Unknown option skipMising, did you mean skipMissing?" });
  });

  test("an abort ends the reading", async () => {
    const { data } = await writeBenchmark("vstar", join(folder, "aborted"));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const { id } of taskOf("vstar").read(data, { signal: controller.signal })) {
        controller.abort(new Error(`enough after ${id}`));
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "ABORTED", name: "AbortError" });
  });
});

describe("tab-separated values", () => {
  test("quotes, line ends of Windows and within cells, a mark at the start, a missing last line end", async () => {
    const text = `\uFEFF${hrbench(row(0, [1, 'What is on\n"the\tsign"?']), row(2))}`;
    const question = "What is on\n\"the\tsign\"?";
    for (const [name, given] of [
      ["unix.tsv", text],
      ["windows.tsv", text.replaceAll("\n", "\r\n")],
      ["cut.tsv", text.slice(0, -1)],
    ]) {
      const items = [];
      for await (const item of taskOf("hrbench4k").read(write(name, given))) {
        items.push(item);
      }
      expect(items.map((item) => item.question.replaceAll("\r", ""))).toEqual([question, HRBENCH[2][1]]);
      expect(Buffer.from(await (items[1].image as () => Promise<Uint8Array>)()).toString("base64")).toBe(picture);
    }
    const late = write("late.tsv", hrbench(row(0, [1, "two\nlines"]), row(2, [3, ""])));
    await expect(ids("hrbench4k", late)).rejects.toMatchObject({ line: 4 });
  });

  test("rows of megabytes go through without being kept", async () => {
    const large = Buffer.alloc(3_000_000, 7).toString("base64");
    const file = write("large.tsv", hrbench(...Array.from({ length: 12 }, (_, index) => row(2, [0, index], [9, large]))));
    const before = process.memoryUsage().rss;
    const items = [];
    for await (const item of taskOf("hrbench8k").read(file)) {
      items.push(item);
    }
    expect(items.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, index) => String(index)));
    expect(Buffer.from(await (items[11].image as () => Promise<Uint8Array>)()).equals(Buffer.alloc(3_000_000, 7))).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(readFileSync(file).length * 2);
  });
});
