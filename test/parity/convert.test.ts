// Whole checkpoints to GGUF files: against the files that golden/qwen and the demo model are known to be.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint } from "../../src/index";
import { readGguf, type MetaValue } from "../helpers/gguf-writer";

const GOLDEN = join(__dirname, "..", "fixtures", "golden", "qwen");
const directory = mkdtempSync(join(tmpdir(), "sd-rpn-convert-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface Expected {
  tensors: Record<string, { shape: number[]; type: string; sha256: string }>;
  keys: Record<string, unknown>;
}

const plain = (value: MetaValue): unknown => (value.type === "array" ? value.values : value.value);

/** Keys as values, tensors as shape and hash. */
function contents(path: string): { keys: Record<string, unknown>; tensors: Record<string, unknown> } {
  const { metadata, tensors } = readGguf(path);
  const bytes = (shape: number[]): number => 4 * shape.reduce((a, b) => a * b, 1);
  return {
    keys: Object.fromEntries([...metadata].map(([key, value]) => [key, plain(value)])),
    tensors: Object.fromEntries(
      tensors.map(({ name, shape, type, data }) => {
        expect(type).toBe(0); // f32
        return [name, { shape, sha256: createHash("sha256").update(data.subarray(0, bytes(shape))).digest("hex") }];
      }),
    ),
  };
}

const METHOD = {
  "sdrpn-qwen2.5": { "sdrpn.kind": "sdrpn-qwen", "sdrpn.base_architecture": "qwen2vl", "sdrpn.image_tokens_min": 576, "sdrpn.rope_interleaved": false, "sdrpn.gate_block_count": undefined },
  "qzoom-qwen2.5": { "sdrpn.kind": "qzoom", "sdrpn.base_architecture": "qwen2vl", "sdrpn.image_tokens_min": 256, "sdrpn.rope_interleaved": false, "sdrpn.gate_block_count": 3 },
  "qzoom-qwen3": { "sdrpn.kind": "qzoom", "sdrpn.base_architecture": "qwen3vl", "sdrpn.image_tokens_min": 256, "sdrpn.rope_interleaved": true, "sdrpn.gate_block_count": 3 },
};

test.each(Object.entries(METHOD))("%s becomes the golden files, tensor by tensor and key by key", async (name, method) => {
  const out = join(directory, name);
  const result = await convertCheckpoint({ checkpoint: join(GOLDEN, name), out, type: "f32" });
  expect(result.files).toEqual(["model.gguf", "mmproj.gguf", "rpn.gguf"].map((file) => join(out, file)));
  expect(readdirSync(out).sort()).toEqual(["mmproj.gguf", "model.gguf", "rpn.gguf"]);
  expect(result.fallbacks).toEqual([]);

  const golden = JSON.parse(readFileSync(join(GOLDEN, name, "gguf.json"), "utf8")) as { base: Expected; mmproj: Expected };
  for (const [file, { tensors, keys }] of [["model", golden.base], ["mmproj", golden.mmproj]] as const) {
    const came = contents(join(out, `${file}.gguf`));
    const named = file === "model" ? { "general.name": name } : {}; // golden's is "tiny random ..."
    expect(came.keys).toEqual({ ...keys, ...named });
    expect(came.tensors).toEqual(Object.fromEntries(Object.entries(tensors).map(([tensor, { shape, sha256 }]) => [tensor, { shape, sha256 }])));
  }
  const rpn = contents(join(out, "rpn.gguf")).keys;
  expect(rpn).toMatchObject({ "sdrpn.branch_layer": 3, "sdrpn.block_count": 3, "sdrpn.image_tokens_max": 576, "sdrpn.roi_positions": "fresh", "sdrpn.head_rope": true, "sdrpn.head_norm": false });
  expect(rpn["sdrpn.threshold"]).toBeCloseTo(0.1, 6);
  for (const [key, value] of Object.entries(method)) {
    expect([key, rpn[key]]).toEqual([key, value]);
  }
  if (method["sdrpn.gate_block_count"] !== undefined) {
    expect(rpn["sdrpn.gate_threshold"]).toBeCloseTo(0.1, 6);
  }
});
