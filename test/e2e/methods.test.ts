// Regions without a trained network on the command line: choose heads, see boxes, ask.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoQuestions } from "../helpers/demo";
import { sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-methods-e2e-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);
const [object] = demoQuestions("object");
const about = [object.image, object.question];
const withoutNetwork = ["--model", join("demo", "pico-llava-f16.gguf"), "--mmproj", join("demo", "pico-mmproj-f16.gguf")];
const questions = join("demo", "questions.jsonl");

test("heads writes the choice alone, and boxes and answers come of it", async () => {
  const chosen = await sdRpn(["heads", "--data", questions, "--pairs", "3", "--lattice", "3", "--out", path("heads.json"), ...withoutNetwork]);
  expect(chosen).toMatchObject({ code: 0, stderr: "" });
  expect(chosen.stdout).toMatch(/\npairs +3 of use, .*\ngrounding +\(\d, \d\) .*\nsink +.*\nwrote +/);
  const written = JSON.parse(readFileSync(path("heads.json"), "utf8")) as { chosen: { grounding: number[][] } };
  expect(Object.keys(written)).toEqual(["format", "version", "model", "chosen", "used", "passed"]);
  expect(written.chosen.grounding.length).toBeGreaterThanOrEqual(1);

  const roi = await sdRpn(["roi", ...about, "--heads", path("heads.json"), ...withoutNetwork]);
  expect(roi).toMatchObject({ code: 0, stderr: "" });
  expect(roi.stdout).toMatch(/^found +yes, by attention\nbox +\d+ x \d+ at \d+, \d+, score 0\.\d{3}\nregion +crop, .+\ntime +decode .+generate .+ ms\n$/);
  expect(await sdRpn(["answer", ...about, "--heads", path("heads.json"), ...withoutNetwork])).toMatchObject({ code: 0, stdout: `${object.answer}\n` });
  const labelled = await sdRpn(["distill", "label", "--heads", path("heads.json"), "--data", questions, "--out", path("labels.jsonl"), "--json", ...withoutNetwork]);
  expect(JSON.parse(labelled.stdout)).toMatchObject({ done: 36, failed: 0 });
});

test("vicrop needs nothing: boxes, an answer and an overlay", async () => {
  const roi = await sdRpn(["roi", ...about, "--method", "vicrop", "--json", ...withoutNetwork]);
  expect(JSON.parse(roi.stdout)).toMatchObject({ method: "vicrop", found: true, boxes: [expect.anything()], region: { kind: "crop" } });
  const answer = await sdRpn(["answer", ...about, "--method", "vicrop", "--overlay", path("o.png"), ...withoutNetwork]);
  expect(answer).toMatchObject({ code: 0, stdout: `${object.answer}\n`, stderr: "" });
  expect(await sharp(path("o.png")).metadata()).toMatchObject({ width: 1008, height: 1008 });
});

test.each<[number, string[], RegExp]>([
  [2, ["roi", ...about, "--method", "attentoin"], /rpn, attention or vicrop for --method but received attentoin/],
  [2, ["roi", ...about, "--method", "vicrop", "--heads", "demo"], /--heads with --method attention/],
  [2, ["heads"], /required option '--data <file>'/],
  [1, ["roi", ...about, "--method", "attention"], /INVALID_ARGUMENT: .*`sd-rpn heads --out heads.json`/],
  [1, ["roi", ...about, "--heads", questions], /DATA_INVALID: .*questions\.jsonl:1:1: Expected the JSON file/],
  [1, ["roi", ...about, "--heads", path("nowhere.json")], /IO_ERROR: Cannot read the heads file/],
  [1, ["roi", ...about, "--heads", "llava-1.5-13b"], /INVALID_ARGUMENT: .*40 layers of 40 heads/],
  [1, ["answer", ...about, "--method", "vicrop", "--roi", "never"], /INVALID_ARGUMENT: .*roi "auto" or "always" with method "vicrop"/],
  [1, ["answer", ...about, "--method", "vicrop", "--threshold", "0.5"], /INVALID_ARGUMENT: Expected no threshold/],
  [1, ["answer", ...about, "--roi", "auto", "--overlay", path("none.png"), ...withoutNetwork], /RPN_NOT_LOADED: .*--method vicrop/],
])("ends with %i: %j", async (code, args, message) => {
  const ended = await sdRpn(args);
  expect(ended.stderr).toMatch(message);
  expect(ended).toMatchObject({ code, stdout: "" });
  expect(existsSync(path("none.png"))).toBe(false);
});

test("a file that is damaged anywhere is refused or read, never worse", async () => {
  const whole = readFileSync(path("heads.json"));
  for (const at of [0, 40, 120, whole.length >> 1, whole.length - 20]) {
    writeFileSync(path("cut.json"), whole.subarray(0, at));
    const { code, stderr } = await sdRpn(["roi", ...about, "--heads", path("cut.json"), ...withoutNetwork]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^sd-rpn: DATA_INVALID: [^\n]*\n$/)]);
  }
});
