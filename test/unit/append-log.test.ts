import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppendLog } from "../../src/data/append-log";
import { mergeLogs } from "../../src/data/merge";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-log-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const header = { format: "test", version: 1, shard: null };
const options = { header, name: "test file" };
let n = 0;
const fresh = (): string => join(folder, `${n++}.jsonl`);
const lines = (file: string): unknown[] => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as unknown);

async function write(file: string, ids: string[], more: object = {}): Promise<void> {
  await using log = await AppendLog.open(file, { ...options, header: { ...header, ...more } });
  for (const id of ids) {
    await log.append({ id, value: `of ${id}` });
  }
}

describe("AppendLog", () => {
  test("a header, an entry a line, and what is there when opened again", async () => {
    const file = fresh();
    await write(file, ["a", "b"]);
    {
      await using log = await AppendLog.open(file, options);
      expect([...log.ids]).toEqual(["a", "b"]);
      await log.append({ id: "c" });
    }
    expect(lines(file)).toEqual([header, { id: "a", value: "of a" }, { id: "b", value: "of b" }, { id: "c" }]);
  });

  test("killed at any byte: what is whole stays, what is torn goes", async () => {
    const file = fresh();
    await write(file, ["a", "b", "c"]);
    const whole = readFileSync(file);
    for (let size = whole.length; size >= 0; size -= 3) {
      writeFileSync(file, whole);
      truncateSync(file, size);
      const kept = whole.subarray(0, size).toString().split("\n").length - 2; // entries whose line end is there
      {
        await using log = await AppendLog.open(file, options);
        expect([...log.ids]).toEqual(["a", "b", "c"].slice(0, Math.max(0, kept)));
        for (const id of ["a", "b", "c"].filter((id) => !log.ids.has(id))) {
          await log.append({ id, value: `of ${id}` });
        }
      }
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
  });

  test("a header that differs, an id twice and a broken line are told with their place", async () => {
    const file = fresh();
    await write(file, ["a"]);
    await expect(AppendLog.open(file, { ...options, header: { ...header, version: 2 } })).rejects.toMatchObject({ code: "DATA_INVALID", file, line: 1, column: 28 });
    writeFileSync(file, `${readFileSync(file, "utf8")}{"id":"a"}\n`);
    await expect(AppendLog.open(file, options)).rejects.toMatchObject({ code: "DATA_INVALID", line: 3, column: 7 });
    writeFileSync(file, `${JSON.stringify(header)}\n{"id":\n`);
    await expect(AppendLog.open(file, options)).rejects.toMatchObject({ code: "DATA_INVALID", line: 2 });
    await expect(AppendLog.open(join(folder, "nowhere", "x"), options)).rejects.toMatchObject({ code: "IO_ERROR" });
  });

  // a limit on the size of files stands for a full disk
  test("a write that fails is IO_ERROR, and nothing follows half a line", async () => {
    const file = fresh();
    const script = `
      const { AppendLog } = require("./lib/data/append-log.js");
      AppendLog.open(${JSON.stringify(file)}, ${JSON.stringify(options)}).then(async (log) => {
        for (let i = 0; i < 3; i++) {
          await log.append({ id: String(i), text: "x".repeat(i === 1 ? 5000 : 10) }).catch(({ code, message }) => console.log(code, message));
        }
        await log.close();
      });`;
    const output = execFileSync("sh", ["-c", 'ulimit -f 4 && exec "$0" -e "$1"', process.execPath, script], { cwd: join(__dirname, "..", ".."), encoding: "utf8" });
    expect(output).toMatch(/^IO_ERROR Cannot write the test file .*EFBIG.*stays usable.*\nIO_ERROR .*EFBIG.*\n$/);
    expect(readFileSync(file, "utf8").split("\n").slice(0, 2)).toEqual([JSON.stringify(header), '{"id":"0","text":"xxxxxxxxxx"}']);
    await using log = await AppendLog.open(file, options);
    expect([...log.ids]).toEqual(["0"]);
  });
});

describe("mergeLogs", () => {
  const ids = ["a", "b", "c", "d"];

  test("shards make what one process would have written", async () => {
    const [one, two, whole, out] = [fresh(), fresh(), fresh(), fresh()];
    await write(one, ["a", "c"], { shard: { index: 1, count: 2 } });
    await write(two, ["b", "d"], { shard: { index: 2, count: 2 } });
    await write(whole, ids);
    await mergeLogs({ files: [two, one], ids, out, name: "test file" });
    expect(lines(out)).toEqual(lines(whole));
    expect(existsSync(`${out}.partial`)).toBe(false);
  });

  test("what is missing, double, unknown or begun otherwise is refused, and no output appears", async () => {
    const [one, two, out] = [fresh(), fresh(), fresh()];
    await write(one, ["a", "c"]);
    await write(two, ["b"]);
    const merge = (files: string[], of = ids) => mergeLogs({ files, ids: of, out, name: "test file" });
    await expect(merge([one, two])).rejects.toMatchObject({ code: "DATA_INVALID", message: expect.stringMatching(/^1 of 4 ids .*\(d\)/) });
    await expect(merge([one, two, one])).rejects.toMatchObject({ code: "DATA_INVALID", file: one, line: 2, column: 7 });
    await expect(merge([one, two], ["a", "b"])).rejects.toMatchObject({ code: "DATA_INVALID", file: one, line: 3 });
    const other = fresh();
    await write(other, ["b", "d"], { version: 3 });
    await expect(merge([one, other])).rejects.toMatchObject({ code: "DATA_INVALID", file: other, line: 1 });
    expect(existsSync(out)).toBe(false);
  });
});
