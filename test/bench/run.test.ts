import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../helpers/demo";

const tsc = require.resolve("typescript/bin/tsc");
let out: string;

beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), "sd-rpn-bench-"));
  // as `npm run bench` does
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", "bench"], { cwd: ROOT, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
}, 120_000);
afterAll(() => rmSync(out, { recursive: true }));

const bench = (...args: string[]) => spawnSync(process.execPath, ["build/bench/main.js", ...args], { cwd: ROOT, encoding: "utf8" });

test("the benchmark measures a tiny model, and writes what it found for people and programs", () => {
  const phases = ["flow", "attention", "parallel", "head", "binding"].flatMap((phase) => ["--phase", phase]);
  const { status, stderr } = bench("--shape", "tiny", "--type", "f16", "--runs", "1", "--tokens", "4", "--threads", "1", "--out", out, ...phases);
  expect(stderr).toMatch(/written:/);
  expect(status).toBe(0);

  const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8"));
  expect(report).toMatchObject({
    options: { shape: "tiny", runs: 1, threads: 1 },
    machine: { node: process.version, cores: expect.any(Number) },
    engines: { "sd-rpn": { ggml: "0.25.1" } },
    prompt: { image: 64, answer: 4 },
    failed: {},
  });
  expect(report.prompt.question).toBeGreaterThan(20);
  expect(report.prompt.question).toBeLessThan(30);
  const rows = { ...report.measured.flow, ...report.measured.attention, ...report.measured.parallel, ...report.measured.head, ...report.measured.binding };
  const names = ["prefill", "oneView", "reference", "first", "next", "predictFirst", "predictRepeat", "attentionFirst", "attentionRepeat", "inARow", "together", "head_first", "head_next", "head_keys_first", "head_keys_next", "roi_repeat", "roi_repeat native"];
  for (const name of names) {
    expect(rows[name]).toEqual([expect.objectContaining({ ms: expect.any(Number) })]);
    expect(rows[name][0].ms).toBeGreaterThan(0);
  }
  // what is kept is not computed again, however noisy the machine
  expect(rows.predictRepeat[0]).toMatchObject({ vision: 0 });
  expect(rows.next[0].promptTokens).toBeGreaterThan(report.prompt.prefix + 64);
  expect(report.peakMemoryMiB["sd-rpn"]).toBeGreaterThan(10);

  expect(readFileSync(join(out, "chart.svg"), "utf8")).toMatch(/^<svg [\s\S]*>reference flow<\/text>[\s\S]*<\/svg>$/);
  const markdown = readFileSync(join(out, "report.md"), "utf8");
  expect(markdown).toMatch(/\| answer with RoI, next question on the image \| [\d.]+ \([\d.]+-[\d.]+\) \|/);
  expect(markdown).toMatch(/\| 4 sessions decoding at once \/ in a row \| [\d.]+ .*\| <= 0.75 \| (yes|\*\*no\*\*) \|/);
  expect(markdown).not.toMatch(/NaN|undefined|## Not measured/);
}, 180_000);

test("a wrong option is named before any work", () => {
  const { status, stderr } = bench("--phase", "everything");
  expect(status).toBe(2);
  expect(stderr).toMatch(/Expected one of flow, attention, .* but received everything/);
});
