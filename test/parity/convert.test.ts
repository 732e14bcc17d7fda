// Whole checkpoints to GGUF files: against the files that golden/qwen and the demo model are known to be.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint } from "../../src/index";
import { readGguf, type MetaValue } from "../helpers/gguf-writer";
import { readRawSafetensors, writeSafetensors, type RawTensor } from "../helpers/safetensors";

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

type Config = Record<string, unknown> & { text_config?: Record<string, unknown>; vision_config?: Record<string, unknown> };
type Tensors = Map<string, RawTensor>;
const readJson = (path: string): Config => JSON.parse(readFileSync(path, "utf8")) as Config;
const OTHER_FILES = ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"];

let made = 0;
/** A golden checkpoint, changed. */
function checkpoint(name: string, change: (tensors: Tensors, config: Config, folder: string) => unknown): string {
  const folder = join(directory, `checkpoint-${made++}`);
  mkdirSync(folder);
  for (const file of OTHER_FILES) {
    cpSync(join(GOLDEN, name, file), join(folder, file));
  }
  const config = readJson(join(GOLDEN, name, "config.json"));
  const tensors = readRawSafetensors(join(GOLDEN, name, "model.safetensors"));
  const result = change(tensors, config, folder);
  const changed = result instanceof Map ? (result as Tensors) : tensors;
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  if (changed.size > 0) {
    writeSafetensors(join(folder, "model.safetensors"), changed);
  }
  return folder;
}

const renamed = (tensors: Tensors, name: (old: string) => string): Tensors => new Map([...tensors].map(([old, tensor]) => [name(old), tensor]));

async function convert(checkpoint: string, base: string | string[] = []): Promise<string> {
  const out = join(directory, `out-${made++}`);
  await convertCheckpoint({ checkpoint, out, type: "f32", name: "same", base });
  return out;
}

/** The hashes of the three files. */
async function bytes(checkpoint: string, options: { base?: string | string[] } = {}): Promise<Record<string, string>> {
  const out = await convert(checkpoint, options.base);
  return Object.fromEntries(readdirSync(out).map((file) => [file, createHash("sha256").update(readFileSync(join(out, file))).digest("hex")]));
}

describe("the ways of publishing give the same files", () => {
  const KEYS_OF_TEXT = ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "rms_norm_eps", "rope_scaling", "rope_theta", "vocab_size", "max_position_embeddings", "hidden_act", "twig_K", "twig_T"];

  test("names with language_model and visual below model, sizes in text_config", async () => {
    const expected = await bytes(join(GOLDEN, "qzoom-qwen2.5"));
    const folder = checkpoint("qzoom-qwen2.5", (tensors, config) => {
      config.text_config = Object.fromEntries(KEYS_OF_TEXT.map((key) => [key, config[key]]));
      for (const key of KEYS_OF_TEXT) delete config[key];
      return renamed(tensors, (old) => old.replace(/^model\./, "model.language_model.").replace(/^visual\./, "model.visual."));
    });
    expect(await bytes(folder)).toEqual(expected);
  });

  test("names without language_model and model, rope_parameters of newer libraries", async () => {
    const expected = await bytes(join(GOLDEN, "qzoom-qwen3"));
    const folder = checkpoint("qzoom-qwen3", (tensors, config) => {
      const text = config.text_config!;
      const { rope_scaling: scaling, rope_theta: theta } = text;
      delete text.rope_scaling;
      delete text.rope_theta;
      text.rope_parameters = { ...(scaling as object), rope_theta: theta };
      return renamed(tensors, (old) => old.replace("model.language_model.", "model.").replace("model.visual.", "visual."));
    });
    expect(await bytes(folder)).toEqual(expected);
  });

  test("shards with an index", async () => {
    const expected = await bytes(join(GOLDEN, "sdrpn-qwen2.5"));
    const folder = checkpoint("sdrpn-qwen2.5", (tensors, _config, folder) => {
      const shards: Tensors[] = [new Map(), new Map(), new Map()];
      const names: Record<string, string> = {};
      [...tensors].forEach(([name, tensor], i) => {
        shards[i % 3].set(name, tensor);
        names[name] = `model-${(i % 3) + 1}.safetensors`;
      });
      shards.forEach((shard, i) => writeSafetensors(join(folder, `model-${i + 1}.safetensors`), shard));
      writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: names }));
      return new Map();
    });
    expect(await bytes(folder)).toEqual(expected);
    rmSync(join(folder, "model-2.safetensors"));
    await expect(bytes(folder)).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringContaining("lacks the file model-2.safetensors") });
  });

  test("merges as pairs or as text; the chat template in a file of its own", async () => {
    const expected = await bytes(join(GOLDEN, "qzoom-qwen2.5"));
    const folder = checkpoint("qzoom-qwen2.5", (_tensors, _config, folder) => {
      const tokenizer = readJson(join(folder, "tokenizer.json")) as unknown as { model: { merges: [string, string][] } };
      tokenizer.model.merges = tokenizer.model.merges.map((pair) => pair.join(" ")) as never;
      writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
      const { chat_template: template, ...rest } = readJson(join(folder, "tokenizer_config.json"));
      writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(rest));
      writeFileSync(join(folder, "chat_template.jinja"), template as string);
    });
    expect(await bytes(folder)).toEqual(expected);
    rmSync(join(folder, "chat_template.jinja"));
    writeFileSync(join(folder, "chat_template.json"), JSON.stringify({ chat_template: readJson(join(GOLDEN, "qzoom-qwen2.5", "tokenizer_config.json")).chat_template }));
    expect(await bytes(folder)).toEqual(expected);
  });

  test("a pruned checkpoint takes what it lacks from its base, and says so where none is given", async () => {
    const expected = await bytes(join(GOLDEN, "sdrpn-qwen2.5"));
    const own = (name: string): boolean => /twig_|\.layers\.[01]\./.test(name);
    const pruned = checkpoint("sdrpn-qwen2.5", (tensors, config, folder) => {
      config.num_hidden_layers = 5; // as many as were kept
      for (const file of OTHER_FILES) rmSync(join(folder, file));
      return new Map([...tensors].filter(([name]) => own(name)));
    });
    // what both have comes from the checkpoint
    const base = checkpoint("sdrpn-qwen2.5", (tensors) => {
      for (const [name, tensor] of tensors) if (own(name)) tensors.set(name, { ...tensor, data: Buffer.alloc(tensor.data.length) });
    });
    expect(await bytes(pruned, { base })).toEqual(expected);
    expect(await bytes(pruned, { base: [base] })).toEqual(expected);
    await expect(bytes(pruned)).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringMatching(/lacks model\.embed_tokens\.weight, .*--base DIR/) });
    // the network alone knows the depth of its model too
    const out = join(directory, "pruned.gguf");
    await convertCheckpoint({ checkpoint: pruned, out, base });
    expect(keysOf(out)["sdrpn.base.block_count"]).toBe(6);
    const wide = checkpoint("sdrpn-qwen2.5", (_tensors, config) => void (config.hidden_size = 128));
    await expect(bytes(pruned, { base: wide })).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringMatching(/128 for hidden_size: expected 64/) });
  });
});

function keysOf(path: string): Record<string, unknown> {
  return Object.fromEntries([...readGguf(path).metadata].map(([key, value]) => [key, plain(value)]));
}

test("the output is the embedding's matrix where the config says so, or says nothing and there is no other", async () => {
  const model = async (change: (tensors: Tensors, text: Record<string, unknown>) => unknown): Promise<string[]> => {
    const folder = checkpoint("qzoom-qwen3", (tensors, config) => {
      delete config.tie_word_embeddings; // text_config has it too
      change(tensors, config.text_config!);
    });
    return readGguf(join(await convert(folder), "model.gguf")).tensors.map(({ name }) => name);
  };
  const head = (tensors: Tensors): RawTensor => ({ ...tensors.get("model.language_model.embed_tokens.weight")! });
  expect(await model((tensors) => tensors.set("lm_head.weight", head(tensors)))).not.toContain("output.weight");
  expect(await model((tensors, text) => (tensors.set("lm_head.weight", head(tensors)), (text.tie_word_embeddings = false)))).toContain("output.weight");
  expect(await model((tensors, text) => (tensors.set("lm_head.weight", head(tensors)), delete text.tie_word_embeddings))).toContain("output.weight");
  expect(await model((_tensors, text) => delete text.tie_word_embeddings)).not.toContain("output.weight");
  await expect(model((_tensors, text) => (text.tie_word_embeddings = false))).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringContaining("lacks lm_head.weight") });
});

test("rows of the embedding without a token get one that is never used", async () => {
  const folder = checkpoint("qzoom-qwen3", (tensors, config) => {
    config.text_config!.vocab_size = 331;
    const name = "model.language_model.embed_tokens.weight";
    tensors.set(name, { ...tensors.get(name)!, shape: [331, 64], data: Buffer.concat([tensors.get(name)!.data, Buffer.alloc(3 * 64 * 4)]) });
  });
  const out = join(directory, "padded");
  await convertCheckpoint({ checkpoint: folder, out, type: "f32" });
  const keys = keysOf(join(out, "model.gguf"));
  expect((keys["tokenizer.ggml.tokens"] as string[]).slice(327)).toEqual(["<|video_pad|>", "[PAD328]", "[PAD329]", "[PAD330]"]);
  expect((keys["tokenizer.ggml.token_type"] as number[]).slice(319)).toEqual([1, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 5]);
});

test("thresholds, gate and positions of the config go into the RPN file", async () => {
  const rpn = async (name: string, change: (config: Config) => void, threshold?: number): Promise<Record<string, unknown>> => {
    const folder = checkpoint(name, (_tensors, config) => change(config));
    const out = join(directory, `method-${made++}.gguf`);
    await convertCheckpoint({ checkpoint: folder, out, threshold });
    return keysOf(out);
  };
  const near = (value: number): unknown => expect.closeTo(value, 6);
  expect(await rpn("qzoom-qwen2.5", (c) => Object.assign(c, { reuse_src_pos: true, high_res_thresh: 0.025, roi_conf_thresh: 0.2 }))).toMatchObject({
    "sdrpn.roi_positions": "aligned", "sdrpn.gate_threshold": near(0.025), "sdrpn.threshold": near(0.2),
  });
  expect(await rpn("qzoom-qwen3", (c) => Object.assign(c.text_config!, { reuse_src_pos: true, high_res_thresh: 0.4 }), 0.07)).toMatchObject({
    "sdrpn.roi_positions": "aligned", "sdrpn.gate_threshold": near(0.4), "sdrpn.threshold": near(0.07),
  });
  // a gate that the config switches off stays in the file, off unless asked for; as does one that every score passes
  for (const change of [{ enable_high_res: false }, { high_res_thresh: -1 }]) {
    const keys = await rpn("qzoom-qwen2.5", (c) => Object.assign(c, change));
    expect([keys["sdrpn.gate_block_count"], keys["sdrpn.gate_threshold"]]).toEqual([3, undefined]);
  }
  await expect(rpn("sdrpn-qwen2.5", (c) => Object.assign(c, { enable_high_res: true }))).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringContaining("holds no high_res_layers") });
  await expect(rpn("sdrpn-qwen2.5", (c) => Object.assign(c, { roi_multi_head: false }))).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringContaining("false for roi_multi_head: only true") });
  await rpn("qzoom-qwen2.5", (c) => Object.assign(c, { roi_multi_head: false })); // which Q-Zoom does not look at
  await expect(rpn("qzoom-qwen2.5", (c) => Object.assign(c, { high_res_K: 2 }))).rejects.toMatchObject({ code: "CHECKPOINT_INVALID", message: expect.stringContaining("2 for high_res_K: expected 3") });
});

test("a gate, Q-Zoom's options, or nothing of SD-RPN's make it Q-Zoom", async () => {
  const options = ["enable_high_res", "high_res_thresh", "reuse_src_pos"];
  const kind = async (name: string, change: (tensors: Tensors, config: Config) => void): Promise<unknown> => {
    const folder = checkpoint(name, (tensors, config) => {
      for (const key of options) delete config[key];
      change(tensors, config);
    });
    const out = join(directory, `kind-${made++}.gguf`);
    await convertCheckpoint({ checkpoint: folder, out });
    return keysOf(out)["sdrpn.kind"];
  };
  const norm = (tensors: Tensors): unknown => tensors.set("model.twig_norm.weight", { ...tensors.get("model.norm.weight")! });
  const without = (tensors: Tensors, what: RegExp): void => [...tensors.keys()].filter((name) => what.test(name)).forEach((name) => tensors.delete(name));
  expect(await kind("sdrpn-qwen2.5", () => {})).toBe("sdrpn-qwen");
  expect(await kind("qzoom-qwen2.5", norm)).toBe("qzoom");
  expect(await kind("sdrpn-qwen2.5", (tensors) => without(tensors, /twig_(norm|head)/))).toBe("qzoom");
  for (const key of options) {
    expect(await kind("sdrpn-qwen2.5", (_tensors, config) => void (config[key] = key === "high_res_thresh" ? 0.1 : false))).toBe("qzoom");
  }
  expect(await kind("qzoom-qwen2.5", (tensors) => without(tensors, /high_res_/))).toBe("qzoom");
});

test("--only rpn takes a folder or a file; a file's name alone means the RPN", async () => {
  const golden = join(GOLDEN, "qzoom-qwen3");
  const folder = join(directory, "only");
  mkdirSync(folder);
  expect((await convertCheckpoint({ checkpoint: golden, out: folder, only: "rpn" })).files).toEqual([join(folder, "rpn.gguf")]);
  expect((await convertCheckpoint({ checkpoint: golden, out: join(folder, "a"), only: "rpn" })).files).toEqual([join(folder, "a")]);
  expect((await convertCheckpoint({ checkpoint: golden, out: join(folder, "b.gguf") })).files).toEqual([join(folder, "b.gguf")]);
  expect(readdirSync(folder).sort()).toEqual(["a", "b.gguf", "rpn.gguf"]);
  expect(readFileSync(join(folder, "a")).equals(readFileSync(join(folder, "b.gguf")))).toBe(true);
});

test("an abort, and an error of the caller's own, leave nothing behind, and the next call is right", async () => {
  const golden = join(GOLDEN, "qzoom-qwen2.5");
  const expected = await bytes(golden);
  const out = join(directory, "aborted");
  const reason = new Error("enough");
  await expect(convertCheckpoint({ checkpoint: golden, out, signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ code: "ABORTED", cause: reason });
  // the thread that converts may be through before the abort reaches it; then all files are there, else none
  for (const at of [0, 0.3, 0.7]) {
    const controller = new AbortController();
    const onProgress = (fraction: number): void => void (fraction >= at && controller.abort(reason));
    const files = await convertCheckpoint({ checkpoint: golden, out, onProgress, signal: controller.signal, type: "q8_0" }).then(
      () => ["mmproj.gguf", "model.gguf", "rpn.gguf"],
      (error: unknown) => (expect(error).toMatchObject({ code: "ABORTED", cause: reason }), []),
    );
    expect(existsSync(out) ? readdirSync(out).sort() : []).toEqual(files);
    rmSync(out, { recursive: true, force: true });
  }
  const own = new RangeError("mine");
  await expect(convertCheckpoint({ checkpoint: golden, out, onProgress: () => { throw own; } })).rejects.toBe(own);
  const seen: number[] = [];
  await convertCheckpoint({ checkpoint: golden, out, type: "f32", name: "same", onProgress: (fraction) => seen.push(fraction) });
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect([seen[0], seen.at(-1)]).toEqual([0, 1]);
  const again = Object.fromEntries(readdirSync(out).map((file) => [file, createHash("sha256").update(readFileSync(join(out, file))).digest("hex")]));
  expect(again).toEqual(expected);
});
