import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import type { EvalItem, TaskName } from "../../src/eval/task";
import { taskOf } from "../../src/eval/tasks/index";
import { CHARTQA, CUSTOM, DOCVQA, draw, HRBENCH, HRBENCH_COLUMNS, INFOVQA, OCRBENCH, POPE, TEXTVQA, VSTAR, writeBenchmark } from "../helpers/benchmark-files";
import { type Column, type ColumnKind, writeParquet } from "../helpers/parquet-writer";

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "sd-rpn-parquet-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(task: TaskName, data: string, images?: string): Promise<EvalItem[]> {
  const items: EvalItem[] = [];
  for await (const item of taskOf(task).read(data, { images })) {
    items.push(item);
  }
  return items;
}

async function widthOf({ image }: EvalItem): Promise<number> {
  return (await sharp(typeof image === "function" ? await image() : image).metadata()).width;
}

function column(name: string, kind: ColumnKind, data: unknown[]): Column {
  return { name, kind, data: kind === "integer" ? data.map((value) => BigInt(value as number)) : data };
}

async function pictures(...widths: number[]): Promise<Column> {
  return column("image", "picture", await Promise.all(widths.map(async (width) => ({ bytes: new Uint8Array(await draw(width)), path: `${width}.png` }))));
}

const pope = Object.entries(POPE).flatMap(([category, records]) => records.map((record) => ({ ...record, category })));
const charts = [...CHARTQA.human, ...CHARTQA.augmented];

/** The columns that the exports on Hugging Face have. */
const EXPORTS: Record<Exclude<TaskName, "hrbench8k" | "custom">, () => Promise<Column[]>> = {
  textvqa: async () => [
    column("image_id", "text", TEXTVQA.map((r) => r.image_id)),
    column("question_id", "integer", TEXTVQA.map((r) => r.question_id)),
    column("question", "text", TEXTVQA.map((r) => r.question)),
    await pictures(40, 41),
    column("answers", "texts", TEXTVQA.map((r) => r.answers)),
  ],
  docvqa: async () => [
    column("questionId", "text", DOCVQA.map((r) => String(r.questionId))),
    column("question", "text", DOCVQA.map((r) => r.question)),
    await pictures(50, 51),
    column("ucsf_document_id", "text", DOCVQA.map((r) => r.ucsf_document_id)),
    column("ucsf_document_page_no", "text", DOCVQA.map((r) => r.ucsf_document_page_no)),
    column("answers", "texts", DOCVQA.map((r) => r.answers)),
  ],
  infovqa: async () => [
    column("questionId", "text", INFOVQA.map((r) => String(r.questionId))),
    column("question", "text", INFOVQA.map((r) => r.question)),
    column("answers", "texts", INFOVQA.map((r) => r.answers)),
    column("image_url", "text", INFOVQA.map((r) => r.image_url)),
    await pictures(60, 60),
  ],
  chartqa: async () => [
    column("type", "text", ["human_test", "augmented_test", "augmented_test"]),
    column("question", "text", charts.map((r) => r.query)),
    column("answer", "text", charts.map((r) => r.label)),
    await pictures(70, 71, 71),
  ],
  ocrbench: async () => [
    column("dataset", "text", OCRBENCH.map((r) => r.dataset_name)),
    column("question", "text", OCRBENCH.map((r) => r.question)),
    column("question_type", "text", OCRBENCH.map((r) => r.type)),
    column("answer", "texts", OCRBENCH.map((r) => [r.answers].flat())),
    await pictures(80, 81, 82),
  ],
  vstar: async () => [
    await pictures(90, 91),
    column("text", "text", VSTAR.map((r) => r.text)),
    column("category", "text", VSTAR.map((r) => r.category)),
    column("label", "text", VSTAR.map((r) => r.label)),
    column("question_id", "text", VSTAR.map((r) => String(r.question_id))),
  ],
  pope: async () => [
    column("question_id", "text", pope.map((r) => String(r.question_id))),
    column("question", "text", pope.map((r) => r.text)),
    column("answer", "text", pope.map((r) => r.label)),
    column("image_source", "text", pope.map((r) => r.image.replace(".jpg", ""))),
    await pictures(100, 100, 101, 101),
    column("category", "text", pope.map((r) => r.category)),
  ],
  hrbench4k: async () => [
    ...HRBENCH_COLUMNS.slice(0, -1).map((name, index) => column(name, index === 0 ? "integer" : "text", HRBENCH.map((row) => row[index]))),
    column("image", "text", await Promise.all([300, 300, 310].map(async (width) => (await draw(width)).toString("base64")))),
  ],
};

test.each(Object.keys(EXPORTS) as (keyof typeof EXPORTS)[])("%s: a Parquet export asks what the release asks", async (task) => {
  const released = await writeBenchmark(task, join(folder, `${task}-released`));
  const file = join(folder, `${task}.parquet`);
  await writeParquet(file, await EXPORTS[task]());

  const [fromRelease, fromExport] = [await read(task, released.data, released.images), await read(task, file)];
  const asked = (items: EvalItem[]) => items.map(({ prompt, question, answers, options, category, extra }) => ({ prompt, question, answers, options, category, extra }));
  expect(asked(fromExport)).toEqual(asked(fromRelease));
  expect(new Set(fromExport.map(({ id }) => id)).size).toBe(fromExport.length);
  for (const [index, item] of fromExport.entries()) {
    expect(await widthOf(item)).toBe(await widthOf(fromRelease[index]));
  }
});

test("pictures can be read in any order and more than once, across row groups", async () => {
  const file = join(folder, "order.parquet");
  await writeParquet(file, await EXPORTS.pope(), 1);
  const items = await read("pope", file);
  for (const index of [3, 0, 2, 0, 1, 3]) {
    expect(await widthOf(items[index])).toBe([100, 100, 101, 101][index]);
  }
  expect(await Promise.all(items.map(widthOf))).toEqual([100, 100, 101, 101]);
  expect(items.map(({ imageName }) => imageName)).toEqual(pope.map(({ image }) => image.replace(".jpg", "")));
});

test("base64 in a column of bytes", async () => {
  const file = join(folder, "bytes.parquet");
  await writeParquet(file, (await EXPORTS.hrbench4k()).map((c) => (c.name === "image" ? { ...c, kind: "bytes", data: c.data.map((text) => new TextEncoder().encode(text as string)) } : c)));
  expect(await Promise.all((await read("hrbench4k", file)).map(widthOf))).toEqual([300, 300, 310]);
});

test("the other export of ChartQA: labels in lists, halves by number", async () => {
  const file = join(folder, "chartqa-m4.parquet");
  await writeParquet(file, [
    await pictures(70, 71, 71),
    column("query", "text", charts.map((r) => r.query)),
    column("label", "texts", charts.map((r) => [r.label])),
    column("human_or_machine", "integer", [0, 1, 1]),
  ]);
  expect((await read("chartqa", file)).map(({ category, answers }) => [category, answers])).toEqual([["human", ["14"]], ["augmented", ["72.5"]], ["augmented", ["Total"]]]);
});

test("a folder of shards: those of the part, in order", async () => {
  const shards = join(folder, "shards", "data");
  mkdirSync(shards, { recursive: true });
  for (const [name, index] of [["validation-00001-of-00002.parquet", 1], ["validation-00000-of-00002.parquet", 0], ["test-00000-of-00001.parquet", 0]] as const) {
    const columns = await EXPORTS.textvqa();
    await writeParquet(join(shards, name), columns.map((c) => ({ ...c, data: [c.data[index]] })));
  }
  expect((await read("textvqa", join(folder, "shards"))).map(({ id }) => id)).toEqual(["34602", "34603"]);
  const ids = [];
  for await (const { id } of taskOf("textvqa").read(join(folder, "shards"), { split: "test" })) {
    ids.push(id);
  }
  expect(ids).toEqual(["34602"]);
});

test("custom data in Parquet names its pictures", async () => {
  const { data } = await writeBenchmark("custom", join(folder, "custom"));
  const file = join(folder, "custom", "own.parquet");
  await writeParquet(file, [
    column("image", "text", CUSTOM.slice(0, 2).map((r) => r.image)),
    column("question", "text", CUSTOM.slice(0, 2).map((r) => r.question)),
    column("answer", "text", ["12.50", "Mia"]),
  ]);
  const items = await read("custom", file);
  expect(items.map(({ image }) => image)).toEqual((await read("custom", data)).slice(0, 2).map(({ image }) => image));
  expect(items.map(({ id }) => id)).toEqual(["1", "2"]);
});

describe("what is wrong with a Parquet file", () => {
  async function failing(task: TaskName, file: string, options = {}): Promise<unknown> {
    try {
      for await (const { image } of taskOf(task).read(file, options)) {
        void image;
      }
    } catch (error) {
      return error;
    }
    throw new Error("nothing was thrown");
  }

  test("a missing column", async () => {
    const file = join(folder, "no-question.parquet");
    await writeParquet(file, (await EXPORTS.textvqa()).filter(({ name }) => name !== "question"));
    const message = `${file}:1:1: Expected the column question but there are only image_id, question_id, answers, image`;
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file, line: 1, column: 1, message });
  });

  test("a missing value: row and column", async () => {
    const file = join(folder, "no-value.parquet");
    await writeParquet(file, (await EXPORTS.textvqa()).map((c) => (c.name === "question" ? { ...c, data: ["what?", null] } : c)));
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file, line: 2, column: 3, message: expect.stringContaining("Expected a value for question but received null") });
  });

  test("a missing picture: row and column, or counted", async () => {
    const file = join(folder, "no-picture.parquet");
    const first = (await pictures(40)).data[0];
    await writeParquet(file, (await EXPORTS.textvqa()).map((c) => (c.name === "image" ? { ...c, data: [first, { bytes: null, path: "x.png" }] } : c)));
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file, line: 2, column: 4 });
    const skipped: unknown[] = [];
    const ids = [];
    for await (const { id } of taskOf("textvqa").read(file, { skipMissing: true, onSkip: ({ id: skippedId, place }) => skipped.push([skippedId, place]) })) {
      ids.push(id);
    }
    expect([ids, skipped]).toEqual([["34602"], [["34603", { file, line: 2, column: 4 }]]]);
  });

  test("invalid base64 is reported when the picture is read", async () => {
    const file = join(folder, "no-base64.parquet");
    await writeParquet(file, (await EXPORTS.hrbench4k()).map((c) => (c.name === "image" ? { ...c, data: ["%%", "%%", "%%"] } : c)));
    const [item] = await read("hrbench4k", file);
    await expect((item.image as () => Promise<Uint8Array>)()).rejects.toMatchObject({ code: "DATA_INVALID", file, line: 1, column: 10 });
  });

  test("no Parquet at all, a torn file, no rows", async () => {
    const file = join(folder, "torn.parquet");
    writeFileSync(file, "PAR1 and nothing else that a Parquet file has");
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file, line: 1, column: 1 });
    writeFileSync(file, "");
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file });
    await writeParquet(file, (await EXPORTS.textvqa()).map((c) => ({ ...c, data: [] })));
    expect(await failing("textvqa", file)).toMatchObject({ code: "DATA_INVALID", file, message: expect.stringContaining("at least one record") });
    expect(await failing("textvqa", join(folder, "absent.parquet"))).toMatchObject({ code: "IO_ERROR" });
  });
});
