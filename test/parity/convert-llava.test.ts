// The demo model as LLaVA-1.5 checkpoints are published, back to the files that it is made of.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint, demoModel, loadModel } from "../../src/index";
import { demoQuestions } from "../helpers/demo";
import { readGguf, type GgufTensor, type MetaValue } from "../helpers/gguf-writer";
import { readRawSafetensors, writeSafetensors, type RawTensor } from "../helpers/safetensors";

const RPN = join(__dirname, "..", "fixtures", "pico", "rpn-checkpoint");
const directory = mkdtempSync(join(tmpdir(), "sd-rpn-convert-llava-"));
afterAll(() => rmSync(directory, { recursive: true }));

const demo = demoModel();
const model = readGguf(demo.model);
const mmproj = readGguf(demo.mmproj);
const value = (key: string): number => Number((model.metadata.get(key) as { value: number }).value);
const list = (key: string): unknown[] => (model.metadata.get(key) as { values: unknown[] }).values;

const BLOCK: Record<string, string> = {
  attn_norm: "input_layernorm", ffn_norm: "post_attention_layernorm", attn_q: "self_attn.q_proj", attn_k: "self_attn.k_proj", attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj", ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj",
};
const TOWER: Record<string, string> = {
  "v.class_embd": "embeddings.class_embedding", "v.patch_embd.weight": "embeddings.patch_embedding.weight", "v.position_embd.weight": "embeddings.position_embedding.weight",
  "v.pre_ln.weight": "pre_layrnorm.weight", "v.pre_ln.bias": "pre_layrnorm.bias",
};
const LAYER: Record<string, string> = {
  ln1: "layer_norm1", ln2: "layer_norm2", attn_q: "self_attn.q_proj", attn_k: "self_attn.k_proj", attn_v: "self_attn.v_proj", attn_out: "self_attn.out_proj", ffn_up: "mlp.fc1", ffn_down: "mlp.fc2",
};

function published(name: string): string {
  const block = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name);
  if (block) return `model.layers.${block[1]}.${BLOCK[block[2]]}.weight`;
  const layer = /^v\.blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  if (layer) return `model.vision_tower.vision_tower.vision_model.encoder.layers.${layer[1]}.${LAYER[layer[2]]}.${layer[3]}`;
  if (name in TOWER) return `model.vision_tower.vision_tower.vision_model.${TOWER[name]}`;
  if (name.startsWith("mm.")) return name.replace("mm.", "model.mm_projector.");
  return { "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight" }[name]!;
}

/** A tensor as PyTorch has it: axes turned round, and of rotated heads first all first halves of the pairs, then the second ones. */
function raw({ name, shape, type, data }: GgufTensor): RawTensor {
  const width = type === 0 ? 4 : 2;
  const bytes = data.subarray(0, width * shape.reduce((a, b) => a * b, 1));
  const rotated = /^blk\.\d+\.attn_[qk]\.weight$/.test(name);
  const heads = value("llama.attention.head_count");
  const side = shape[1] / heads;
  const row = (i: number): number => Math.floor(i / side) * side + ((i % side) % (side / 2)) * 2 + Math.floor((i % side) / (side / 2));
  const parts = rotated ? Array.from({ length: shape[1] }, (_, i) => bytes.subarray(row(i) * shape[0] * width, (row(i) + 1) * shape[0] * width)) : [bytes];
  return { shape: [...shape].reverse(), dtype: type === 0 ? "F32" : "F16", data: Buffer.concat(parts) };
}

const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const field = (number: number, kind: number, bytes: Iterable<number>): number[] => [(number << 3) | kind, ...bytes];

/** The vocabulary as a SentencePiece file, with fields of other kinds between that readers skip. */
function sentencePiece(): Buffer {
  const tokens = list("tokenizer.ggml.tokens") as string[];
  const pieces = tokens.map((text, id) => {
    const score = Buffer.alloc(4);
    score.writeFloatLE(list("tokenizer.ggml.scores")[id] as number);
    const utf8 = Buffer.from(text);
    const piece = [...field(1, 2, [...varint(utf8.length), ...utf8]), ...field(2, 5, score), ...field(3, 0, varint(list("tokenizer.ggml.token_type")[id] as number))];
    return field(1, 2, [...varint(piece.length), ...piece]);
  });
  return Buffer.from([...field(2, 2, [2, 8, 1]), ...field(9, 0, [7]), ...field(10, 1, Buffer.alloc(8)), ...pieces.flat()]);
}

function checkpoint(name: string, change: (tensors: Map<string, RawTensor>) => unknown = () => {}): string {
  const folder = join(directory, name);
  mkdirSync(folder);
  const tensors = new Map([...model.tensors, ...mmproj.tensors].map((tensor) => [published(tensor.name), raw(tensor)]));
  change(tensors);
  writeSafetensors(join(folder, "model.safetensors"), [...tensors, ...readRawSafetensors(join(RPN, "model.safetensors"))]);
  cpSync(join(RPN, "config.json"), join(folder, "config.json"));
  const config = JSON.parse(String(readConfig(folder))) as Record<string, unknown>;
  Object.assign(config, {
    max_position_embeddings: value("llama.context_length"), num_hidden_layers: value("llama.block_count"), vocab_size: value("llama.vocab_size"), mm_projector_type: "mlp2x_gelu",
    mm_vision_select_layer: -1, mm_vision_select_feature: "patch", vision_config: { num_attention_heads: 4 }, bos_token_id: 1, eos_token_id: 2,
  });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "tokenizer.model"), sentencePiece());
  const template = (model.metadata.get("tokenizer.chat_template") as { value: string }).value;
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ chat_template: template, bos_token: { content: "<s>" }, eos_token: "</s>" }));
  writeFileSync(join(folder, "preprocessor_config.json"), JSON.stringify({ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] }));
  return folder;
}

const readConfig = (folder: string): Buffer => readFileSync(join(folder, "config.json"));
const plain = (v: MetaValue): unknown => (v.type === "array" ? v.values : v.value);
const keys = (file: { metadata: Map<string, MetaValue> }): Record<string, unknown> => Object.fromEntries([...file.metadata].map(([key, v]) => [key, plain(v)]));
const tensors = (file: { tensors: GgufTensor[] }): Record<string, unknown> =>
  Object.fromEntries(file.tensors.map(({ name, shape, type, data }) => [name, { shape, type, hash: createHash("sha256").update(data).digest("hex") }]));

test("the demo model comes back byte for byte, and answers", async () => {
  const out = join(directory, "out");
  await convertCheckpoint({ checkpoint: checkpoint("whole"), out, type: "f16", name: "pico-llava" });
  const [file, tower] = [readGguf(join(out, "model.gguf")), readGguf(join(out, "mmproj.gguf"))];
  expect(tensors(file)).toEqual(tensors(model));
  expect(tensors(tower)).toEqual(tensors(mmproj));
  expect(keys(file)).toEqual(keys(model));
  const known = { ...keys(mmproj), "general.type": "mmproj" };
  delete (known as Record<string, unknown>)["general.name"];
  expect(keys(tower)).toEqual(known);

  const { image, question, answer } = demoQuestions()[0];
  await using loaded = await loadModel({ model: join(out, "model.gguf"), mmproj: join(out, "mmproj.gguf"), rpn: join(out, "rpn.gguf") });
  expect((await loaded.answer(image, question)).text).toBe(answer);
});

test("layers of the tower that nothing reads are left out; where it comes from another folder that is enough", async () => {
  const folder = checkpoint("no-tower", (all) => {
    for (const name of [...all.keys()]) if (name.includes("vision_tower")) all.delete(name);
  });
  await expect(convertCheckpoint({ checkpoint: folder, out: join(directory, "none") })).rejects.toMatchObject({
    code: "CHECKPOINT_INVALID", message: expect.stringMatching(/without a vision tower.*clip-vit-large-patch14-336 as --base/),
  });
  const clip = join(directory, "clip");
  mkdirSync(clip);
  const tower = mmproj.tensors.filter(({ name }) => name.startsWith("v.")).map((tensor): [string, RawTensor] => [published(tensor.name).replace("model.vision_tower.vision_tower.", ""), raw(tensor)]);
  const extra = tower.filter(([name]) => name.includes("layers.3.")).map(([name, tensor]): [string, RawTensor] => [name.replace("layers.3.", "layers.4."), tensor]);
  writeSafetensors(join(clip, "model.safetensors"), [...tower, ...extra]);
  writeFileSync(join(clip, "config.json"), JSON.stringify({ model_type: "clip" }));
  const out = join(directory, "from-clip");
  const config = JSON.parse(String(readConfig(folder))) as Record<string, unknown>;
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, mm_vision_select_layer: -2 }));
  await convertCheckpoint({ checkpoint: folder, base: clip, out, type: "f16" });
  expect(tensors(readGguf(join(out, "mmproj.gguf")))).toEqual(tensors(mmproj));
});
