// The label run as people start it: killed and gone on with, in shards, with broken data.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoQuestions, ROOT } from "../helpers/demo";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-distill-e2e-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, name);
const read = (name: string): string => readFileSync(path(name), "utf8");
const write = (name: string, lines: readonly unknown[]): string => {
  writeFileSync(path(name), lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n") + "\n");
  return path(name);
};

const images = join(ROOT, "demo");
// every question several times, so that a run lasts long enough to be killed
const questions = demoQuestions().flatMap(({ id, image, question }) =>
  Array.from({ length: 4 }, (_, n) => ({ id: `${id}/${n}`, image: image.slice(images.length + 1), question: n % 2 === 0 ? question : `${question} ` })),
);
const data = write("qa.jsonl", [...questions.slice(0, 100), { id: "gone", image: "gone.jpg", question: "What?" }, ...questions.slice(100)]);
const heads = write("heads.json", [
  {
    format: "sd-rpn-heads",
    version: 1,
    model: { name: "pico-llava", architecture: "llama", layers: 6, heads: 4, embeddingLength: 192, grid: { width: 12, height: 12 } },
    chosen: { grounding: [[4, 0], [3, 2], [4, 1]], sink: [] },
  },
]);
const label = ["distill", "label", "--heads", heads, "--data", data, "--images", images];

test("heads that were ranked are what label takes; the output ends as JSON for programs", async () => {
  const ranked = await sdRpn(["distill", "heads", "--data", join(images, "questions.jsonl"), "--pairs", "2", "--lattice", "2", "--out", path("ranked.json")]);
  expect(ranked).toMatchObject({ code: 0, stderr: "" });
  expect(ranked.stdout).toMatch(/^layer {2}head {2}grounding {4}sink\n(.*\n){12}\npairs +2 of use, .*\ngrounding +\(\d, \d\) .*\nsink +.*\nwrote +/);
  const labelled = await sdRpn(["distill", "label", "--heads", path("ranked.json"), "--data", join(images, "questions.jsonl"), "--out", path("ranked.jsonl"), "--json"]);
  expect(labelled).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(labelled.stdout)).toMatchObject({ done: 36, total: 36, failed: 0 });
});

test("one run: a line per pair, the failed one with its code", async () => {
  const { code, stdout, stderr } = await sdRpn([...label, "--out", path("whole.jsonl")]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^wrote .*\npairs +145 of 145\nnow +\d+ to learn from, \d+ that tell nothing, 1 failed\n$/);
  const lines = read("whole.jsonl").trim().split("\n");
  expect(lines).toHaveLength(146);
  expect(lines.filter((line) => line.includes('"error":{"code":"IMAGE_INVALID"'))).toHaveLength(1);
});

/** Starts a run and kills it when the file has `count` lines more; whether it was killed. */
function killed(out: string, count: number): Promise<boolean> {
  checkBuilt();
  return new Promise((resolve, reject) => {
    const size = (): number => (existsSync(out) ? readFileSync(out, "utf8").split("\n").length : 0);
    const before = size();
    const child = spawn(process.execPath, [CLI, ...label, "--out", out], { cwd: ROOT, stdio: "ignore" });
    const timer = setInterval(() => size() >= before + count && child.kill("SIGKILL"), 5);
    child.on("error", reject);
    child.on("close", (_, signal) => {
      clearInterval(timer);
      resolve(signal === "SIGKILL");
    });
  });
}

test("killed again and again, it goes on until the file is that of one run", async () => {
  const out = path("killed.jsonl");
  expect(await killed(out, 1)).toBe(true);
  expect(await killed(out, 30)).toBe(true);
  writeFileSync(out, readFileSync(out).subarray(0, -7)); // as a machine that lost its power leaves it
  expect(await killed(out, 20)).toBe(true);
  const { code, stdout } = await sdRpn([...label, "--out", out]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/pairs +145 of 145, \d+ of them were there before/);
  expect(read("killed.jsonl")).toBe(read("whole.jsonl"));
});

test("shards of several machines merge into the file of one run; one that is missing is told", async () => {
  const runs = await Promise.all([1, 2, 3].map((i) => sdRpn([...label, "--shard", `${i}/3`, "--out", path(`part-${i}.jsonl`)])));
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
  const merge = (parts: number[], out: string) => sdRpn(["distill", "merge", ...parts.map((i) => path(`part-${i}.jsonl`)), "--data", data, "--out", path(out)]);
  expect(await merge([3, 1, 2], "merged.jsonl")).toMatchObject({ code: 0, stderr: "" });
  expect(read("merged.jsonl")).toBe(read("whole.jsonl"));
  const missing = await merge([1, 3], "none.jsonl");
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/^sd-rpn: DATA_INVALID: \d+ of 145 ids are in none of the 2 label files \(.*a shard is missing or not finished\n$/);
  expect(existsSync(path("none.jsonl"))).toBe(false);
});

test("Ctrl-C ends a run in order, with 130, and what was done stays", async () => {
  const out = path("interrupted.jsonl");
  const child = spawn(process.execPath, [CLI, ...label, "--out", out], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const timer = setInterval(() => {
    if (existsSync(out) && readFileSync(out, "utf8").split("\n").length > 10) {
      child.kill("SIGINT"); // once: a second one would end it at once
      clearInterval(timer);
    }
  }, 5);
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringMatching(/^sd-rpn: ABORTED: [^\n]+\n$/) });
  expect(read("whole.jsonl").startsWith(read("interrupted.jsonl"))).toBe(true);
});

describe("errors", () => {
  const question = { image: questions[0].image, question: "q" };
  const run = (more: string[], file = data) => sdRpn(["distill", "label", "--images", images, "--data", file, "--out", path("never.jsonl"), ...more]);

  test.each<[string, () => string[], RegExp]>([
    ["a broken line", () => ["--heads", heads, "--data", write("broken.jsonl", [question, '{"image": "x", "question": }'])], /DATA_INVALID: .*broken\.jsonl:2:28: Expected JSON/],
    ["an empty file", () => ["--heads", heads, "--data", write("empty.jsonl", [""])], /DATA_INVALID: .*empty\.jsonl:1:1: /],
    ["no pictures", () => ["--heads", heads, "--images", folder], /DATA_INVALID: .*qa\.jsonl:1:\d+: Expected the picture .* --images/],
    ["no file", () => ["--heads", heads, "--data", path("nowhere.jsonl")], /IO_ERROR: Cannot read the data file/],
    ["a file that is no heads file", () => ["--heads", data], /DATA_INVALID: .*qa\.jsonl:1:1: Expected the JSON file that `sd-rpn distill heads --out` writes/],
    ["heads of another model", () => ["--heads", write("other.json", [read("heads.json").replace('"layers":6', '"layers":32')])], /DATA_INVALID: .* a different model: layers 32 instead of 6/],
    ["a preset of another model", () => ["--preset", "llava-1.5-7b"], /INVALID_ARGUMENT: .*32 layers of 32 heads/],
    ["an output that is a device", () => ["--heads", heads, "--out", "/dev/full"], /IO_ERROR: Cannot open the label file \/dev\/full: it is a character device, not a regular file/],
  ])("%s", async (_name, more, message) => {
    const { code, stderr } = await run(more());
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test.each<[string[], RegExp]>([
    [[], /Expected one of --heads and --preset/],
    [["--heads", heads, "--preset", "llava-1.5-7b"], /Expected one of --heads and --preset/],
    [["--heads", heads, "--shard", "4/3"], /i\/n .* for --shard but received 4\/3/],
    [["--heads", heads, "--max-tokens", "none"], /--max-tokens/],
    [["--rpn", "x"], /unknown option '--rpn'/],
  ])("usage: %j", async (more, message) => {
    const { code, stderr } = await run(more);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
