import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { locate } from "../../src/data/json-place";
import { readAllJsonl } from "../../src/data/jsonl";
import { groupByPicture, readQuestions } from "../../src/data/questions";
import { parseShard, takeShard } from "../../src/data/shard";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-jsonl-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(content: string | Buffer, name = "data.jsonl"): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const schema = z.object({ a: z.int(), b: z.array(z.string()).optional() });

describe("readJsonl", () => {
  test("entries with their lines; blank lines, CRLF, a byte order mark and a missing last line end are fine", async () => {
    const entries = await readAllJsonl(file('\uFEFF{"a":1}\r\n\n  \n{"a":2,"b":["x"],"more":true}'), schema);
    expect(entries.map(({ value, line }) => [value, line])).toEqual([
      [{ a: 1 }, 1],
      [{ a: 2, b: ["x"] }, 4],
    ]);
    expect(entries[1].at(["b", 0])).toEqual({ file: join(folder, "data.jsonl"), line: 4, column: 13 });
  });

  test("a line longer than any chunk", async () => {
    const b = Array.from({ length: 20000 }, (_, i) => `word ${i}`);
    const [{ value }] = await readAllJsonl(file(`${JSON.stringify({ a: 1, b })}\n`), schema);
    expect(value.b).toEqual(b);
  });

  test.each<[string, string | Buffer, number, number, RegExp]>([
    ["no JSON", '{"a":1}\n{"a":zwei}\n', 2, 6, /Expected JSON but received "zwei}"/],
    ["JSON that ends too early", '{"a":1}\n\n{"a":2, "b":["x"', 3, 17, /Expected JSON but the line ends/],
    ["something after the value", '{"a":1} {"a":2}\n', 1, 9, /Expected JSON but received "\{/],
    ["a trailing comma", '{"a":1,}\n', 1, 8, /Expected JSON/],
    ["a string that is not closed", '{"a":"1}\n', 1, 9, /the line ends/],
    ["a wrong escape", '{"a":"\\x"}\n', 1, 7, /Expected JSON/],
    ["a wrong type", '{"a":1}\n{ "a": "two" }\n', 2, 8, /Expected integer for line\.a but received two of type string/],
    ["a wrong element", '{"a":1,"b":["x", 7]}\n', 1, 18, /Expected string for line\.b\[1\]/],
    ["a missing field", '  {"c":1}\n', 1, 3, /Expected integer for line\.a but received undefined/],
    ["no object", "[1]\n", 1, 1, /Expected object/],
    ["bytes that are no UTF-8", Buffer.from([123, 34, 97, 34, 58, 0xff, 10]), 1, 6, /UTF-8/],
    ["an empty file", "", 1, 1, /at least one line/],
    ["blank lines only", "\n \n", 1, 1, /at least one line/],
  ])("%s", async (_name, content, line, column, message) => {
    const path = file(content);
    const error = await readAllJsonl(path, schema).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "DATA_INVALID", file: path, line, column });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message.startsWith(`${path}:${line}:${column}: `)).toBe(true);
  });

  test("a missing file and a folder are IO_ERROR, an aborted signal ABORTED, an empty file can be allowed", async () => {
    await expect(readAllJsonl(join(folder, "none"), schema)).rejects.toMatchObject({ code: "IO_ERROR" });
    await expect(readAllJsonl(folder, schema)).rejects.toMatchObject({ code: "IO_ERROR" });
    await expect(readAllJsonl(file('{"a":1}'), schema, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    expect(await readAllJsonl(file(""), schema, { allowEmpty: true })).toEqual([]);
  });
});

describe("locate", () => {
  // what JSON.parse takes is never called broken, and what it refuses always is
  test("agrees with JSON.parse about damaged texts", () => {
    const text = JSON.stringify({ a: [1, -2.5e3, true, null, "x\u00e9\n\"\\"], "b c": { d: [], e: {} }, f: 0 });
    for (let at = 0; at < text.length; at++) {
      for (const damaged of [text.slice(0, at), text.slice(0, at) + text.slice(at + 1), `${text.slice(0, at)},${text.slice(at)}`]) {
        let parses = true;
        try {
          JSON.parse(damaged);
        } catch {
          parses = false;
        }
        expect([damaged, locate(damaged, []).broken]).toEqual([damaged, !parses]);
      }
    }
    expect(text.slice(locate(text, ["b c", "e"]).offset)).toBe('{}},"f":0}');
    expect(text.slice(locate(text, ["a", 3]).offset, locate(text, ["a", 3]).offset + 4)).toBe("null");
  });

  test("a text nested deeper than the stack is broken at its start", () => {
    expect(locate("[".repeat(200000), [])).toEqual({ offset: 0, broken: true });
  });
});

describe("readQuestions", () => {
  test("paths, ids and answers; pictures together", async () => {
    writeFileSync(join(folder, "a.jpg"), "");
    const path = file(
      [
        '{"image":"a.jpg","question":"one?","answer":"1"}',
        '{"id":7,"image":"gone.jpg","question":"two?","answers":["2","two"],"box":[1,2,3,4],"textBox":null,"kind":"object"}',
        '{"id":"c","image":"./a.jpg","question":"three?","more":{}}',
      ].join("\n"),
    );
    const items = await readQuestions(path);
    expect(items.map(({ id, path, answers, box }) => ({ id, path, answers, box }))).toEqual([
      { id: "1", path: join(folder, "a.jpg"), answers: ["1"], box: undefined },
      { id: "7", path: join(folder, "gone.jpg"), answers: ["2", "two"], box: [1, 2, 3, 4] },
      { id: "c", path: join(folder, "a.jpg"), answers: [], box: undefined },
    ]);
    expect(groupByPicture(items).map((group) => group.map(({ id }) => id))).toEqual([["1", "c"], ["7"]]);
    expect(items[1].place).toMatchObject({ line: 2, column: 17 });
  });

  test.each<[string, string, object]>([
    ["an id that comes twice", '{"id":"x","image":"a","question":"q"}\n{"question":"q","id":"x","image":"b"}', { line: 2, column: 22 }],
    ["an empty question", '{"image":"a.jpg","question":" "}', { line: 1, column: 29 }],
    ["a broken box", '{"image":"a.jpg","question":"q","box":[1,2]}', { line: 1, column: 39 }],
    ["no picture anywhere", '{"image":"x.jpg","question":"q"}\n{"image":"y.jpg","question":"q"}', { line: 1, column: 10 }],
  ])("%s", async (_name, content, place) => {
    const path = file(content);
    await expect(readQuestions(path)).rejects.toMatchObject({ code: "DATA_INVALID", file: path, ...place });
  });

  test("the folder of pictures is said", async () => {
    const path = file('{"image":"x.jpg","question":"q"}');
    await expect(readQuestions(path, { images: join(folder, "elsewhere") })).rejects.toThrow(join(folder, "elsewhere"));
  });
});

test("shards are disjoint, cover everything and do not move when data is added", () => {
  const list = Array.from({ length: 11 }, (_, i) => i);
  const shards = [1, 2, 3].map((index) => takeShard(list, { index, count: 3 }));
  expect(shards.flat().sort((a, b) => a - b)).toEqual(list);
  expect(takeShard([...list, 11, 12], { index: 2, count: 3 }).slice(0, shards[1].length)).toEqual(shards[1]);
  expect(takeShard(list, null)).toEqual(list);
  expect(parseShard("2/8")).toEqual({ index: 2, count: 8 });
  for (const wrong of ["0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/2", ""]) {
    expect(() => parseShard(wrong)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  }
});
