// The network alone against the reference's own code: checkpoint -> RPN file -> RoIPredictor.score.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint, RoIPredictor } from "../../src/index";
import { readSafetensors, relativeError } from "../helpers/safetensors";

const GOLDEN = join(__dirname, "..", "fixtures", "golden", "rpn");
const directory = mkdtempSync(join(tmpdir(), "sd-rpn-golden-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface Case {
  imageStart: number;
  imageTokens: number;
  queryIndex: number;
  tokens: number;
}

async function score(name: string, type: "f32" | "f16" | "bf16" | "q8_0" | "q4_k"): Promise<number> {
  const out = join(directory, `${name}-${type}.gguf`);
  await convertCheckpoint({ checkpoint: join(GOLDEN, name), out, type });
  const { imageStart, imageTokens, queryIndex, tokens } = JSON.parse(readFileSync(join(GOLDEN, name, "case.json"), "utf8")) as Case;
  const expected = readSafetensors(join(GOLDEN, name, "expected.safetensors"));
  await using predictor = await RoIPredictor.load(out);
  const logits = await predictor.score(expected.get("hidden")!.data, { imageStart, imageTokens, queryIndex, tokens });
  expect(logits).toBeInstanceOf(Float32Array);
  return relativeError(logits, expected.get("roi_logits")!.data);
}

test.each([
  ["llava-f32", "f32", 1e-4],
  ["llava-bf16", "f32", 5e-3],
  ["llava-bf16", "f16", 5e-3],
  ["llava-bf16", "bf16", 5e-3],
  ["llava-bf16", "q8_0", 3e-2],
] as const)("%s as %s is within %d", async (name, type, limit) => {
  expect(await score(name, type)).toBeLessThanOrEqual(limit);
});

test("wrong sizes are INVALID_ARGUMENT, and a disposed predictor DISPOSED", async () => {
  const out = join(directory, "sizes.gguf");
  await convertCheckpoint({ checkpoint: join(GOLDEN, "llava-f32"), out, type: "f32" });
  const predictor = await RoIPredictor.load(out);
  const options = { tokens: 4, imageStart: 0, imageTokens: 2, queryIndex: 3 };
  const hidden = new Float32Array(4 * predictor.info.embeddingLength);
  const bad = (call: Promise<unknown>) => expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await bad(predictor.score(new Float32Array(7), options));
  await bad(predictor.score([] as never, options));
  await bad(predictor.score(hidden, { ...options, imageTokens: 5 }));
  await bad(predictor.score(hidden, { ...options, queryIndex: 4 }));
  await bad(predictor.score(hidden, { ...options, token: 4 } as never));
  expect((await predictor.score(hidden, options)).length).toBe(2);
  await predictor.dispose();
  await predictor.dispose();
  await expect(predictor.score(hidden, options)).rejects.toMatchObject({ code: "DISPOSED" });
});
