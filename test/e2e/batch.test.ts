// A batch as people start it: killed and gone on with, with broken items, into both kinds of files.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BatchLine } from "../../src/index";
import { readCsv } from "../../src/data/csv";
import { demoQuestions, ROOT } from "../helpers/demo";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-batch-e2e-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, name);
const images = join(ROOT, "demo");
// every question several times, so that a run lasts long enough to be killed
const questions = demoQuestions().flatMap(({ id, image, question }) => Array.from({ length: 3 }, (_, n) => ({ id: `${id}/${n}`, image: image.slice(images.length + 1), question })));
const asked = [...questions.slice(0, 40), { id: "gone", image: "gone.jpg", question: "line\nend, \"quotes\"" }, ...questions.slice(40)];
const data = path("qa.jsonl");
writeFileSync(data, asked.map((line) => `${JSON.stringify(line)}\n`).join(""));
const command = (out: string): string[] => ["batch", data, "--images", images, "--out", out];

/** What of the answers does not depend on times, nor on what the process was asked before. */
async function steady(out: string): Promise<unknown[]> {
  if (out.endsWith(".csv")) {
    const rows = [];
    for await (const { fields } of readCsv(out)) rows.push(fields.filter((_, column) => column !== 15));
    return rows;
  }
  return readFileSync(out, "utf8").trim().split("\n").map((line) => {
    const { answer, ...rest } = JSON.parse(line) as BatchLine;
    return answer ? { ...rest, text: answer.text, region: answer.roi?.region, finish: answer.finishReason } : rest;
  });
}

/** Starts a run and kills it when the file has `bytes` more; whether it was killed. */
function killed(out: string, bytes: number): Promise<boolean> {
  checkBuilt();
  return new Promise((resolve, reject) => {
    const size = (): number => (existsSync(out) ? readFileSync(out).length : 0);
    const before = size();
    const child = spawn(process.execPath, [CLI, ...command(out)], { cwd: ROOT, stdio: "ignore" });
    const timer = setInterval(() => size() >= before + bytes && child.kill("SIGKILL"), 3);
    child.on("error", reject);
    child.on("close", (_, signal) => {
      clearInterval(timer);
      resolve(signal === "SIGKILL");
    });
  });
}

test.each([["jsonl", 5000], ["csv", 150]])("%s: killed again and again, torn in its last line, it goes on until the file is that of one run, each item once", async (kind, few) => {
  const whole = path(`whole.${kind}`);
  const { code, stdout, stderr } = await sdRpn(command(whole));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^wrote +.*\nitems +109 of 109\nfailed +1 of this call's\n$/);
  const expected = await steady(whole);
  expect(expected).toHaveLength(kind === "csv" ? 110 : 109);

  const out = path(`killed.${kind}`);
  const share = readFileSync(whole).length / 8;
  expect(await killed(out, 1)).toBe(true);
  expect(await killed(out, share)).toBe(true);
  writeFileSync(out, readFileSync(out).subarray(0, -7)); // as a machine that lost its power leaves it
  expect(await killed(out, few)).toBe(true);
  expect(await killed(out, 3 * share)).toBe(true);
  // torn in the field that has a line end in it
  const text = readFileSync(out, "utf8");
  const torn = text.indexOf(kind === "csv" ? "line\nend" : "line\\nend");
  expect(torn).toBeGreaterThan(0);
  writeFileSync(out, text.slice(0, torn + (kind === "csv" ? 5 : 6)));
  expect((await sdRpn(command(out))).code).toBe(0);
  expect(await steady(out)).toEqual(expected);
});

test("Ctrl-C ends it in order, with 130, and what was done stays", async () => {
  const out = path("interrupted.jsonl");
  const child = spawn(process.execPath, [CLI, ...command(out)], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const timer = setInterval(() => {
    if (existsSync(out) && readFileSync(out, "utf8").split("\n").length > 6) {
      child.kill("SIGINT"); // once: a second one would end it at once
      clearInterval(timer);
    }
  }, 5);
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringMatching(/^sd-rpn: ABORTED: [^\n]+\n$/) });
  expect((await steady(path("whole.jsonl"))).slice(0, 6)).toEqual((await steady(out)).slice(0, 6));
});

test("a folder, with overlays, several decoded together, options of answers, and a summary for programs", async () => {
  const pictures = join(images, "images");
  const count = readdirSync(pictures).filter((name) => name.endsWith(".jpg")).length;
  const args = ["batch", pictures, "--question", "What shape is purple?", "--out", path("folder.txt"), "--format", "csv", "--overlay", path("seen"), "--parallel", "3", "--choice", "star", "--choice", "ring", "--roi", "always", "--json"];
  const { code, stdout, stderr } = await sdRpn(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout)).toEqual({ done: count, total: count, failed: 0 });
  expect(readdirSync(path("seen"))).toHaveLength(count);
  expect(readFileSync(path("folder.txt"), "utf8")).toMatch(/\n900001\.jpg,900001\.jpg,What shape is purple\?,star,1,/);
});

test.each<[string[], number, RegExp]>([
  [["batch"], 2, /missing required argument 'data'|required option '--out/],
  [["batch", images, "--question", "q"], 2, /required option '--out <file>'/],
  [["batch", data, "--out", path("x.jsonl"), "--concurrency", "0"], 2, /--concurrency/],
  [["batch", data, "--out", path("x.jsonl"), "--format", "xml"], 2, /jsonl, csv/],
  [["batch", images, "--out", path("x.jsonl")], 1, /INVALID_ARGUMENT: .*--question/],
  [["batch", data, "--out", path("x.xml")], 1, /INVALID_ARGUMENT: .*--format/],
  [["batch", path("none.jsonl"), "--out", path("x.jsonl")], 1, /IO_ERROR: /],
  [["batch", data, "--images", images, "--out", path("whole.jsonl"), "--max-tokens", "3"], 1, /INVALID_ARGUMENT: .*maxTokens is missing there and 3 here/],
])("%j: exit code %i", async (args, expected, message) => {
  const { code, stderr } = await sdRpn(args);
  expect(stderr).toMatch(message);
  expect(code).toBe(expected);
});
