import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppendLog } from "../../src/data/append-log";
import { csvLine, readCsv } from "../../src/data/csv";
import { csvFormat } from "../../src/data/csv-format";
import { overlayNames } from "../../src/batch/overlay-names";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-csv-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let n = 0;
const fileOf = (contents: string | Buffer): string => {
  const file = join(folder, `${n++}.csv`);
  writeFileSync(file, contents);
  return file;
};

async function recordsOf(contents: string | Buffer): Promise<string[][]> {
  const records = [];
  for await (const { fields } of readCsv(fileOf(contents))) records.push(fields);
  return records;
}

/** RFC 4180 read character by character, the plain way. */
function readPlainly(text: string): string[][] {
  const records: string[][] = [];
  let fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (quoted) {
      if (c !== '"') field += c;
      else if (text[at + 1] === '"') {
        field += '"';
        at++;
      } else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "," || c === "\n") {
      fields.push(field);
      field = "";
      if (c === "\n") {
        records.push(fields);
        fields = [];
      }
    } else if (c !== "\r") field += c;
  }
  return records;
}

const NASTY = ["", "plain", "a,b", 'say "no"', '"', '""', "two\nlines", "cr\r\nlf", "\r", " lead", "trail ", "é 😀 中", ",\n\"", "=1+2", "\t"];

test("what is written is read again, by this reader and by RFC 4180's rules", async () => {
  const rows = NASTY.flatMap((a) => NASTY.map((b) => [a, b, "end"]));
  const text = rows.map(csvLine).join("");
  expect(readPlainly(text)).toEqual(rows);
  expect(await recordsOf(text)).toEqual(rows);
});

test("fields longer than what is read at a time, a byte order mark, and lines that end in CR LF", async () => {
  const long = `x"${"y,\n".repeat(100_000)}é`;
  expect(await recordsOf(`\uFEFF${csvLine(["id", long])}a,b\r\n"c","d"\r\n`)).toEqual([["id", long], ["a", "b"], ["c", "d"]]);
});

test("every record says the bytes up to its end, and the line in which it begins", async () => {
  const text = `${csvLine(["a", "é\n😀"])}${csvLine(["b", "c"])}`;
  const found = [];
  for await (const { line, end } of readCsv(fileOf(text))) found.push([line, end]);
  expect(found).toEqual([[1, Buffer.byteLength(csvLine(["a", "é\n😀"]))], [3, Buffer.byteLength(text)]]);
});

test.each([
  ['a,b"c\nd,e\n', 1, 3],
  ['a,"b"c\n', 1, 3],
  ['a,b\n"é\nx","y"z\n', 3, 4],
  ["a,b\rc\n", 1, 3],
])("%j is no CSV, with the place", async (text, line, column) => {
  await expect(recordsOf(text)).rejects.toMatchObject({ code: "DATA_INVALID", line, column });
});

test("bytes that are not UTF-8 are DATA_INVALID, unless a kill has torn a character", async () => {
  await expect(recordsOf(Buffer.from([0x61, 0xff, 0x0a]))).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(await recordsOf(Buffer.concat([Buffer.from("a\n"), Buffer.from("é").subarray(0, 1)]))).toEqual([["a"]]);
});

describe("a log in CSV", () => {
  const columns = ["id", "text"];
  const options = { header: null, name: "test file", format: csvFormat(columns, ({ id, text }) => [String(id), String(text)], "test file") };
  const entries = [{ id: "a", text: "two\nlines, \"quoted\"\n" }, { id: "b,\n", text: "é😀" }, { id: "c", text: "\n\n" }, { id: "d", text: "" }];

  test("killed at any byte: what is whole stays, what is torn goes, line ends in fields or not", async () => {
    const file = fileOf("");
    {
      await using log = await AppendLog.open(file, options);
      for (const entry of entries) await log.append(entry);
    }
    const whole = readFileSync(file);
    const ends = entries.map((_, k) => Buffer.byteLength([columns, ...entries.slice(0, k + 1).map(({ id, text }) => [id, text])].map(csvLine).join("")));
    expect(ends[3]).toBe(whole.length);
    for (let size = 0; size <= whole.length; size++) {
      writeFileSync(file, whole.subarray(0, size));
      {
        await using log = await AppendLog.open(file, options);
        expect([size, ...log.ids]).toEqual([size, ...entries.filter((_, k) => ends[k] <= size).map(({ id }) => id)]);
        for (const entry of entries.filter(({ id }) => !log.ids.has(id))) await log.append(entry);
      }
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
  });

  test.each([
    ["another table", "name;value\n1;2\n", 1],
    ["another file without a line end", "precious text of mine", 1],
    ["a record with too few fields", "id,text\na,b\nc\n", 3],
    ["an id twice", "id,text\na,b\na,c\n", 3],
    ["a quote that someone has lost", 'id,text\na,"b\nc,"d"\n', 2],
  ])("%s is DATA_INVALID, and the file stays as it was", async (_name, contents, line) => {
    const file = fileOf(contents);
    await expect(AppendLog.open(file, options)).rejects.toMatchObject({ code: "DATA_INVALID", file, line });
    expect(readFileSync(file, "utf8")).toBe(contents);
  });
});

test("a JSON Lines log does not overwrite a file that is none", async () => {
  for (const [header, contents] of [[null, "precious"], [{ format: "x" }, '{"format":"y"'], [{ format: "x" }, '{"format":"x"} and more']] as const) {
    const file = fileOf(contents);
    await expect(AppendLog.open(file, { header, name: "test file" })).rejects.toMatchObject({ code: "DATA_INVALID", file });
    expect(readFileSync(file, "utf8")).toBe(contents);
  }
});

describe("overlayNames", () => {
  test("plain ids keep their name; others get a safe one; none is taken twice, be it in other case", () => {
    const ids = ["a", "A", "a.jpg", "sub/a.jpg", "sub_a.jpg", "../../etc/passwd", "..", ".hidden", "con", "Com1.txt", "straße ü/中", "a-2", "x".repeat(300), "x".repeat(301), "a\0b", "\u00e9", "e\u0301"];
    const names = [...overlayNames(ids).values()];
    expect(names.slice(0, 6)).toEqual(["a.png", "A-2.png", "a.jpg.png", "sub_a.jpg.png", "sub_a.jpg-2.png", "_._.._etc_passwd.png"]);
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(ids.length);
    for (const name of names) {
      expect(name).toMatch(/^[\p{L}\p{N}_-][\p{L}\p{N}._-]*$/u);
      expect(Buffer.byteLength(name)).toBeLessThan(256);
    }
    expect(overlayNames(["con", "Com1.txt"]).get("con")).toBe("_con.png");
  });

  test("ids that are added at the end rename none", () => {
    const few = ["b/a", "b_a", "B_A"];
    expect([...overlayNames([...few, "b a", "b_a-2"])].slice(0, 3)).toEqual([...overlayNames(few)]);
  });
});
