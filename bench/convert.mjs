// Memory and time of converting a checkpoint of a published size: its weights are holes of a sparse file, its shapes are the real ones.
//
//   node bench/convert.mjs [--size qwen2.5-7b] [--type q4_k_m] [--keep]
//
// Sizes: qwen2.5-3b, qwen2.5-7b (Q-Zoom, with gate), qwen3-4b. Values are zeros, so quantizing is faster than of real ones; memory is the same.
import { cpSync, mkdirSync, mkdtempSync, openSync, closeSync, ftruncateSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { convertCheckpoint } from "../lib/index.js";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const GOLDEN = join(ROOT, "test", "fixtures", "golden", "qwen");

const { values: options } = parseArgs({ options: { size: { type: "string", default: "qwen2.5-7b" }, type: { type: "string", default: "q4_k_m" }, keep: { type: "boolean", default: false } } });

const SIZES = {
  "qwen2.5-3b": { n: 2048, heads: 16, kv: 2, ff: 11008, layers: 36, K: 24, vocab: 151936, tied: true, theta: 1e6, sections: [16, 24, 24], tower: { n: 1280, heads: 16, ff: 3420, layers: 32 } },
  "qwen2.5-7b": { n: 3584, heads: 28, kv: 4, ff: 18944, layers: 28, K: 18, vocab: 152064, tied: false, theta: 1e6, sections: [16, 24, 24], tower: { n: 1280, heads: 16, ff: 3420, layers: 32 } },
  "qwen3-4b": { n: 2560, heads: 32, kv: 8, ff: 9728, layers: 36, K: 24, vocab: 151936, tied: true, theta: 5e6, sections: [24, 20, 20], tower: { n: 1024, heads: 16, ff: 4096, layers: 24 }, three: true },
};

/** Names and shapes as Q-Zoom publishes them. */
function shapesOf({ n, heads, kv, ff, layers, vocab, tied, tower: v, three }) {
  const shapes = {};
  const width = 128;
  const text = three ? "model.language_model." : "model.";
  const block = (b) => {
    for (const norm of ["input_layernorm", "post_attention_layernorm"]) shapes[`${b}.${norm}.weight`] = [n];
    for (const [name, rows] of [["q", heads], ["k", kv], ["v", kv]]) {
      shapes[`${b}.self_attn.${name}_proj.weight`] = [rows * width, n];
      if (!three) shapes[`${b}.self_attn.${name}_proj.bias`] = [rows * width];
    }
    if (three) for (const name of ["q_norm", "k_norm"]) shapes[`${b}.self_attn.${name}.weight`] = [width];
    shapes[`${b}.self_attn.o_proj.weight`] = [n, heads * width];
    for (const name of ["gate", "up"]) shapes[`${b}.mlp.${name}_proj.weight`] = [ff, n];
    shapes[`${b}.mlp.down_proj.weight`] = [n, ff];
  };
  const linear = (name, rows, columns) => Object.assign(shapes, { [`${name}.weight`]: [rows, columns], [`${name}.bias`]: [rows] });
  const norm = (name, size) => Object.assign(shapes, { [`${name}.weight`]: [size], ...(three ? { [`${name}.bias`]: [size] } : {}) });

  shapes[`${text}embed_tokens.weight`] = [vocab, n];
  shapes[`${text}norm.weight`] = [n];
  if (!tied) shapes["lm_head.weight"] = [vocab, n];
  for (let i = 0; i < layers; i++) block(`${text}layers.${i}`);
  for (let i = 0; i < 3; i++) block(`${text}twig_layers.${i}`);
  for (let i = 0; i < 3; i++) block(`${text}high_res_layers.${i}`);
  linear(`${text}high_res_head`, 1, n);

  const visual = three ? "model.visual" : "visual";
  shapes[`${visual}.patch_embed.proj.weight`] = [v.n, 3, 2, three ? 16 : 14, three ? 16 : 14];
  if (three) Object.assign(shapes, { [`${visual}.patch_embed.proj.bias`]: [v.n], [`${visual}.pos_embed.weight`]: [2304, v.n] });
  for (let i = 0; i < v.layers; i++) {
    const b = `${visual}.blocks.${i}`;
    for (const name of ["norm1", "norm2"]) norm(`${b}.${name}`, v.n);
    linear(`${b}.attn.qkv`, 3 * v.n, v.n);
    linear(`${b}.attn.proj`, v.n, v.n);
    for (const name of three ? ["linear_fc1"] : ["gate_proj", "up_proj"]) linear(`${b}.mlp.${name}`, v.ff, v.n);
    linear(`${b}.mlp.${three ? "linear_fc2" : "down_proj"}`, v.n, v.ff);
  }
  const merger = (m, first, second, inner, size) => {
    norm(`${m}.${inner}`, size);
    linear(`${m}.${first}`, 4 * v.n, 4 * v.n);
    linear(`${m}.${second}`, n, 4 * v.n);
  };
  if (!three) merger(`${visual}.merger`, "mlp.0", "mlp.2", "ln_q", v.n);
  else merger(`${visual}.merger`, "linear_fc1", "linear_fc2", "norm", v.n);
  for (let i = 0; i < (three ? 3 : 0); i++) merger(`${visual}.deepstack_merger_list.${i}`, "linear_fc1", "linear_fc2", "norm", 4 * v.n);
  return shapes;
}

function configOf({ n, heads, kv, ff, layers, K, vocab, tied, theta, sections, tower, three }) {
  const text = {
    hidden_size: n, num_attention_heads: heads, num_key_value_heads: kv, intermediate_size: ff, num_hidden_layers: layers, vocab_size: vocab, tie_word_embeddings: tied, head_dim: 128,
    rms_norm_eps: 1e-6, rope_theta: theta, rope_scaling: { type: "default", mrope_section: sections }, max_position_embeddings: 128000, twig_K: K, twig_T: 3, enable_high_res: true,
  };
  const vision = {
    depth: tower.layers, hidden_size: tower.n, intermediate_size: tower.ff, num_heads: tower.heads, spatial_merge_size: 2, temporal_patch_size: 2, out_hidden_size: n,
    ...(three ? { patch_size: 16, hidden_act: "gelu_pytorch_tanh", num_position_embeddings: 2304, deepstack_visual_indexes: [5, 11, 17] } : { patch_size: 14, hidden_act: "silu", window_size: 112, fullatt_block_indexes: [7, 15, 23, 31] }),
  };
  const type = three ? "qwen3_vl" : "qwen2_5_vl";
  return three ? { model_type: type, text_config: text, vision_config: vision } : { model_type: type, ...text, vision_config: vision };
}

/** One safetensors file in which every value is a hole. */
function writeHoles(path, shapes) {
  const header = {};
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = 2 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "BF16", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, "w");
  writeSync(file, Buffer.concat([length, text]));
  ftruncateSync(file, 8 + text.length + at);
  closeSync(file);
  return at;
}

const size = SIZES[options.size];
if (!size) throw new Error(`expected one of ${Object.keys(SIZES).join(", ")} for --size but received ${options.size}`);
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-convert-bench-"));
try {
  const checkpoint = join(folder, "checkpoint");
  mkdirSync(checkpoint);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(GOLDEN, "qzoom-qwen3", name), join(checkpoint, name));
  writeFileSync(join(checkpoint, "config.json"), JSON.stringify(configOf(size)));
  const read = writeHoles(join(checkpoint, "model.safetensors"), shapesOf(size));
  const before = process.resourceUsage().maxRSS / 1000;
  const start = performance.now();
  const { files, tensors } = await convertCheckpoint({ checkpoint, out: join(folder, "out"), type: options.type });
  const seconds = (performance.now() - start) / 1000;
  const written = files.map((file) => statSync(file).size);
  const gb = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
  console.log(`${options.size} as ${options.type}: ${tensors} tensors, ${gb(read)} read, ${written.map(gb).join(" + ")} written in ${seconds.toFixed(0)} s`);
  console.log(`most memory: ${(process.resourceUsage().maxRSS / 1000).toFixed(0)} MB, ${before.toFixed(0)} MB of them before`);
} finally {
  if (!options.keep) rmSync(folder, { recursive: true });
}
