// Files that do not belong together: refused with what is wrong, whichever two families they are of.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint, demoModel, loadModel, RoIPredictor } from "../../src/index";

const GOLDEN = join(__dirname, "..", "fixtures", "golden", "qwen");
const QWEN = ["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"] as const;

interface Files {
  model: string;
  mmproj: string;
  rpn: string;
}

const families = new Map<string, Files>();
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "sd-rpn-pairs-"));
  const { model, mmproj, rpn } = demoModel();
  families.set("llava", { model, mmproj, rpn });
  for (const name of QWEN) {
    const out = join(directory, name);
    await convertCheckpoint({ checkpoint: join(GOLDEN, name), out, type: "f32" });
    families.set(name, { model: join(out, "model.gguf"), mmproj: join(out, "mmproj.gguf"), rpn: join(out, "rpn.gguf") });
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

// a Q-Zoom and an SD-RPN network for Qwen2.5-VL differ in what they were trained for, not in what they fit
const NETWORKS: [of: string, on: string, facts: RegExp][] = [
  ["llava", "sdrpn-qwen2.5", /architecture llama, but this model's is qwen2vl/],
  ["llava", "qzoom-qwen3", /architecture llama, but this model's is qwen3vl/],
  ["sdrpn-qwen2.5", "llava", /architecture qwen2vl, but this model's is llama/],
  ["qzoom-qwen2.5", "llava", /architecture qwen2vl, but this model's is llama/],
  ["qzoom-qwen3", "llava", /architecture qwen3vl, but this model's is llama/],
  ["sdrpn-qwen2.5", "qzoom-qwen3", /architecture qwen2vl, but this model's is qwen3vl/],
  ["qzoom-qwen2.5", "qzoom-qwen3", /architecture qwen2vl, but this model's is qwen3vl/],
  ["qzoom-qwen3", "sdrpn-qwen2.5", /architecture qwen3vl, but this model's is qwen2vl/],
  ["qzoom-qwen3", "qzoom-qwen2.5", /architecture qwen3vl, but this model's is qwen2vl/],
];

test.each(NETWORKS)("a network for %s on %s is RPN_MISMATCH with both facts", async (of, on, facts) => {
  const { model, mmproj } = families.get(on)!;
  const { rpn } = families.get(of)!;
  await expect(loadModel({ model, mmproj, rpn })).rejects.toMatchObject({ code: "RPN_MISMATCH", message: expect.stringMatching(facts) });
});

const TOWERS = ["llava", ...QWEN].flatMap((of) => ["llava", ...QWEN].map((on) => [of, on] as const)).filter(([of, on]) => of.replace(/^.*-/, "") !== on.replace(/^.*-/, ""));

test.each(TOWERS)("a vision tower of %s on %s is MMPROJ_MISMATCH", async (of, on) => {
  const { model, rpn } = families.get(on)!;
  const { mmproj } = families.get(of)!;
  await expect(loadModel({ model, mmproj, rpn })).rejects.toMatchObject({ code: "MMPROJ_MISMATCH", message: expect.stringContaining("give the mmproj file that belongs to the model") });
});

test("the right pairs load, after all that", async () => {
  for (const files of families.values()) {
    await (await loadModel({ ...files })).dispose();
  }
});

test("a network alone is told what it is", async () => {
  for (const { rpn } of families.values()) {
    const predictor = await RoIPredictor.load(rpn).catch((error: unknown) => (error as { code: string }).code);
    expect(typeof predictor === "string" ? predictor : "loaded").toMatch(/^(loaded|RPN_INVALID|INVALID_ARGUMENT)$/);
    if (typeof predictor !== "string") await predictor.dispose();
  }
});
