// Evaluation presets on the small Qwen checkpoints of the references, from conversion to the report.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeBenchmark } from "../helpers/benchmark-files";
import { ROOT } from "../helpers/demo";
import { sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-presets-"));
const at = (...names: string[]): string => join(folder, ...names);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NAMES = ["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"] as const;
let data: string[];

beforeAll(async () => {
  for (const name of NAMES) {
    const { code, stderr } = await sdRpn(["convert", "--checkpoint", join(ROOT, "test", "fixtures", "golden", "qwen", name), "--out", at(name), "--type", "f32"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  }
  const files = await writeBenchmark("textvqa", at("data"));
  data = ["--data", files.data, "--images", files.images!];
}, 120_000);

const modelOf = (name: (typeof NAMES)[number]): string[] => ["--model", at(name, "model.gguf"), "--mmproj", at(name, "mmproj.gguf"), "--rpn", at(name, "rpn.gguf"), "--context-size", "4096"];
const run = (name: (typeof NAMES)[number], out: string, ...more: string[]) => sdRpn(["eval", "textvqa", ...data, ...modelOf(name), "--max-tokens", "3", "--out", at(out), ...more]);
const json = (out: string, file: string) => JSON.parse(readFileSync(at(out, file), "utf8"));
const rowsIn = (out: string, file = "predictions.jsonl") => readFileSync(at(out, file), "utf8").trim().split("\n").map((line) => JSON.parse(line));

test.each([
  ["sdrpn-qwen2.5", "sdrpn-qwen2.5-3b", 0.15, null, 576, 576],
  ["sdrpn-qwen2.5", "sdrpn-qwen2.5-7b", 0.075, null, 576, 576],
  ["qzoom-qwen2.5", "qzoom-qwen2.5", 0.15, 0.05, 256, 576],
  ["qzoom-qwen3", "qzoom-qwen3", 0.15, 0.1, 256, 576],
] as const)("%s with %s: the run of these values, given one by one", async (name, preset, threshold, gate, min, max) => {
  const [out, same] = [preset, `${preset}-same`];
  const { code, stdout, stderr } = await run(name, out, "--preset", preset);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const values = { threshold, gate, imageTokens: { min, max } };
  for (const file of ["config.json", "report.json"]) {
    expect(json(out, file)).toMatchObject({ preset: { name: preset, ...values }, ...values });
  }
  expect(stdout).toContain(`Preset ${preset}: threshold ${threshold}, `);
  expect(stdout).toContain("budget of a view");
  for (const { tokens } of rowsIn(out)) {
    expect(tokens.prompt - tokens.roi).toBeGreaterThan(0.9 * min); // 576 is met up to whole cells
  }
  await run(name, same, "--threshold", String(threshold), ...(gate === null ? [] : ["--gate", String(gate)]), "--image-tokens", `${min}-${max}`);
  expect(json(same, "config.json")).toMatchObject({ preset: null, ...values });
  expect(rowsIn(out)).toEqual(rowsIn(same));
}, 60_000);

test("options win over the preset", async () => {
  const asked = async (out: string, ...more: string[]) => {
    expect((await run("qzoom-qwen2.5", out, "--preset", "qzoom-qwen2.5", ...more)).code).toBe(0);
    return rowsIn(out).filter(({ method }) => method === "rpn");
  };
  const usual = await asked("usual");
  expect(usual.every(({ crops }) => crops.length === 1)).toBe(true);
  const shut = await asked("shut", "--gate", "1");
  expect(shut.every(({ crops }) => crops.length === 0)).toBe(true);
  const high = await asked("high", "--threshold", "1");
  expect(high.every(({ crops }) => crops.length === 0)).toBe(true);
  const small = await asked("small", "--image-tokens", "16-64");
  expect(small.every(({ tokens }, i) => tokens.prompt - tokens.roi < usual[i].tokens.prompt - usual[i].tokens.roi - 150 && tokens.roi <= 64)).toBe(true);
  const { preset, imageTokens } = json("small", "report.json");
  expect({ preset: preset.imageTokens, imageTokens }).toEqual({ preset: { min: 256, max: 576 }, imageTokens: { min: 16, max: 64 } });
  const { code, stderr } = await run("qzoom-qwen2.5", "small", "--preset", "qzoom-qwen2.5");
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/holds another run: imageTokens/) });
}, 120_000);

test("a sweep is seen with the preset's budget, and asks its gate", async () => {
  // of the two pictures, a share of 0.7 sets one apart
  const swept = ["--preset", "qzoom-qwen2.5", "--sweep", "0.1,0.2", "--dev", "0.7", "--threshold", "best", "--image-tokens", "16-64"];
  expect(await run("qzoom-qwen2.5", "sweep", ...swept)).toMatchObject({ code: 0, stderr: "" });
  expect(await run("qzoom-qwen2.5", "sweep-shut", ...swept, "--gate", "1")).toMatchObject({ code: 0, stderr: "" });
  const [open, shut] = ["sweep", "sweep-shut"].map((out) => json(out, "report.json").sweep.points);
  expect(open[0].found).toBe(1);
  expect(open[0].roiTokens).toBeLessThanOrEqual(64);
  // the same item has the same views in the sweep as in a run of that budget
  const views = new Map(rowsIn("small").map(({ id, tokens }) => [id, tokens.prompt - tokens.roi]));
  const again = rowsIn("sweep", "sweep.jsonl");
  expect(again.length).toBe(2);
  expect(again.map(({ tokens }) => tokens.prompt - tokens.roi)).toEqual(again.map(({ id }) => views.get(id)));
  expect(shut.map(({ found }: { found: number }) => found)).toEqual([0, 0]);
}, 60_000);

test.each<[(typeof NAMES)[number], string[], number, RegExp]>([
  ["sdrpn-qwen2.5", ["--preset", "qzoom-qwen2.5"], 1, /INVALID_ARGUMENT: Expected a network of kind qzoom for the preset qzoom-qwen2\.5 but this one is sdrpn-qwen/],
  ["qzoom-qwen2.5", ["--preset", "qzoom-qwen3"], 1, /INVALID_ARGUMENT: Expected a qwen3-vl model for the preset qzoom-qwen3 but this one is qwen2\.5-vl/],
  ["qzoom-qwen2.5", ["--preset", "qzoom-qwen2.5", "--context-size", "1024"], 1, /INVALID_ARGUMENT: Expected a context of more than 1152 tokens for the preset/],
  ["qzoom-qwen2.5", ["--preset", "qzoom"], 2, /Allowed choices are sdrpn-qwen2\.5-3b/],
  ["sdrpn-qwen2.5", ["--gate", "0.1"], 1, /INVALID_ARGUMENT: Expected no gate for a network without one/],
])("%s with %j is refused before anything is asked", async (name, more, code, message) => {
  const result = await run(name, "refused", ...more);
  expect({ code: result.code, stderr: result.stderr }).toEqual({ code, stderr: expect.stringMatching(message) });
  expect(existsSync(at("refused"))).toBe(false);
});

test("the demo model is of no preset's family", async () => {
  const { code, stderr } = await sdRpn(["eval", "textvqa", ...data, "--preset", "qzoom-qwen3", "--out", at("refused")]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/Expected a qwen3-vl model for the preset qzoom-qwen3 but this one is llava/) });
});
