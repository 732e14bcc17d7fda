import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoLabelLines, writeLabels } from "../helpers/label-file";
import { sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-cli-train-"));
const at = (name: string): string => join(folder, name);
const labels = writeLabels(at("labels.jsonl"), demoLabelLines().slice(0, 6));
const train = (...args: string[]) => sdRpn(["distill", "train", "--labels", labels, "--out", at("rpn.gguf"), "--batch-size", "2", ...args]);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("distill train writes the network and its curve, and says what came of it", async () => {
  const { code, stdout, stderr } = await train("--held-out", "0.2", "--type", "q8_0", "--plot", at("curve.svg"));
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^wrote {5}.*rpn\.gguf$/m);
  expect(stdout).toMatch(/^network {3}3 blocks after layer 3$/m);
  expect(stdout).toMatch(/^pairs {5}5 trained on, 1 held out$/m);
  expect(stdout).toMatch(/^held out {2}loss \d\.\d{4}, precision \d\.\d{3}, recall \d\.\d{3}$/m);
  expect((await sharp(at("curve.svg")).metadata()).format).toBe("svg");
  const info = await sdRpn(["info", "--json", "--model", "demo/pico-llava-f16.gguf", "--mmproj", "demo/pico-mmproj-f16.gguf", "--rpn", at("rpn.gguf")]);
  expect(JSON.parse(info.stdout).rpn).toMatchObject({ type: "q8_0", branchLayer: 3 });
});

test("--json prints the result, and --no-resume starts anew", async () => {
  const { code, stdout } = await train("--no-resume", "--json", "--held-out", "0");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ resumedFrom: 0, pairs: { train: 6, heldOut: 0, unusable: 0 }, evaluations: [] });
});

test("wrong usage and wrong data end with 2 and 1, and tell of a checkpoint that is there", async () => {
  expect(await sdRpn(["distill", "train", "--out", at("x.gguf")])).toMatchObject({ code: 2, stderr: expect.stringContaining("--labels") });
  expect(await train("--epochs", "many")).toMatchObject({ code: 2, stderr: expect.stringContaining("for --epochs but received many") });
  expect(await train("--branch-layer", "9")).toMatchObject({ code: 1, stderr: expect.stringMatching(/^sd-rpn: INVALID_ARGUMENT: Expected branchLayer of at most 3/) });
  expect(await train("--plot", at("curve.png"))).toMatchObject({ code: 2, stderr: expect.stringContaining("file name ending in .svg for --plot") });
  expect(existsSync(at("curve.png"))).toBe(false);
  const failed = await train("--learning-rate", "100000", "--max-grad-norm", "0", "--out", at("huge.gguf"), "--batch-size", "6", "--epochs", "2", "--held-out", "0");
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/the work so far is in .*huge\.gguf\.checkpoint; the same command continues from there\nsd-rpn: INVALID_ARGUMENT: Expected weights of at most 65504/);
  expect(existsSync(at("huge.gguf"))).toBe(false);
  expect(readFileSync(at("huge.gguf.checkpoint")).subarray(0, 4).toString()).toBe("GGUF");
});
