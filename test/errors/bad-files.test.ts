import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint } from "../../src/rpn/convert-checkpoint";
import { demoModel, loadModel } from "../../src/index";
import { runNode } from "../helpers/child";
import { array, bool, f32, type Gguf, type MetaValue, readGguf, str, TENSOR_TYPE, u32, writeGguf } from "../helpers/gguf-writer";

type Role = "model" | "mmproj" | "rpn";
const ROLES: Role[] = ["model", "mmproj", "rpn"];
const INVALID: Record<Role, string> = { model: "MODEL_INVALID", mmproj: "MMPROJ_INVALID", rpn: "RPN_INVALID" };

const demo = demoModel();
const directory = mkdtempSync(join(tmpdir(), "sd-rpn-bad-files-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** The demo model with one file replaced does not load, and the demo model itself does afterwards. */
async function expectRejected(role: Role, path: string, code: string, message: RegExp): Promise<void> {
  // the RPN is compared with the model's header before the model's tensors are looked at
  const rpn = role === "model" ? undefined : demo.rpn;
  const load = loadModel({ ...demo, rpn, [role]: path, threads: 1 }).then((model) => model.dispose());
  await expect(load).rejects.toMatchObject({ name: "SdRpnError", code, message: expect.stringMatching(message) });
  const good = await loadModel({ ...demo, threads: 1 });
  await good.dispose();
}

function written(role: Role, content: Uint8Array): string {
  const path = join(directory, `${role}.gguf`);
  writeFileSync(path, content);
  return path;
}

/** A copy of a demo file with a change. */
function changed(role: Role, change: (gguf: Gguf) => void): string {
  const gguf = readGguf(demo[role]);
  change(gguf);
  const path = join(directory, `${role}.gguf`);
  writeGguf(path, gguf);
  return path;
}

test("a copy without a change loads", async () => {
  const copies = Object.fromEntries(ROLES.map((role) => [role, changed(role, () => {})]));
  const model = await loadModel({ ...copies, threads: 1 });
  expect(model.info).toMatchObject({ embeddingLength: 192, rpn: { branchLayer: 3 } });
  await model.dispose();
});

describe.each(ROLES)("%s", (role) => {
  const bytes = readFileSync(demo[role]);
  const { metadataEnd, dataStart } = readGguf(demo[role]).layout;

  test("missing is MODEL_NOT_FOUND", () => expectRejected(role, join(directory, "none.gguf"), "MODEL_NOT_FOUND", /none\.gguf does not exist/));

  test("a folder", async () => {
    const folder = join(directory, "folder.gguf");
    mkdirSync(folder, { recursive: true });
    // as a model it is one that is looked for in it
    await (role === "model" ? expectRejected(role, folder, "MODEL_NOT_FOUND", /Expected a language model in .*folder\.gguf, but there is none/) : expectRejected(role, folder, INVALID[role], /is a folder, not a regular file/));
  });

  test("empty", () => expectRejected(role, written(role, Buffer.alloc(0)), INVALID[role], /is empty/));

  test("a text", () => expectRejected(role, written(role, Buffer.from("no model, but a text of some length\n")), INVALID[role], /is not a GGUF file/));

  test("a version that nobody knows", () => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(99, 4);
    return expectRejected(role, written(role, copy), INVALID[role], /header/);
  });

  test.each([
    ["in the magic number", 3, /is not a GGUF file/],
    ["in the counts", 20, /is not a GGUF file/],
    ["before the first key", 24, /header/],
    ["in the first key", 40, /header/],
    ["before the tensor infos", metadataEnd, /header/],
    ["in the tensor infos", Math.floor((metadataEnd + dataStart) / 2), /header/],
    ["before the data", dataStart, /truncated/],
    ["in the data", Math.floor((dataStart + bytes.length) / 2), /truncated/],
    ["before the last tensor's end", bytes.length - 64, /truncated/],
  ])("cut off %s", (_, length, message) => expectRejected(role, written(role, bytes.subarray(0, length)), INVALID[role], message));

  test("a key of an unknown type", () => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(260, 32 + Number(copy.readBigUInt64LE(24))); // behind the first key's text
    return expectRejected(role, written(role, copy), INVALID[role], /GGUF type 260/);
  });

  test("a tensor of an unknown type", () =>
    expectRejected(role, changed(role, (gguf) => Object.assign(gguf.tensors[0]!, { type: 999 })), INVALID[role], /ggml type 999/));

  // 2^64 elements come to 0 in 64 bits, which an empty tensor has too
  test("dimensions whose product wraps round", () =>
    expectRejected(role, changed(role, (gguf) => Object.assign(gguf.tensors[0]!, { shape: [2 ** 31, 2 ** 33] })), INVALID[role], /number of elements in tensor/));

  test.each(ROLES.filter((other) => other !== role))("the demo's %s file", (other) => expectRejected(role, demo[other], INVALID[role], /is an? |has architecture/));
});

type KeyCase = [Role, string, MetaValue | null, RegExp];

const KEYS: KeyCase[] = [
  ["model", "general.architecture", str("no-such"), /lacks the key no-such|no-such/],
  ["model", "general.architecture", u32(1), /general\.architecture with type u32 instead of str/],
  ["model", "general.file_type", u32(5000), /quantized by scheme 5000/],
  ["model", "llama.embedding_length", null, /lacks the key llama\.embedding_length/],
  ["model", "llama.embedding_length", str("192"), /llama\.embedding_length with type str instead of u32/],
  ["model", "llama.embedding_length", u32(0), /width 0/],
  ["model", "llama.embedding_length", u32(0xffffffff), /is no language model/],
  ["model", "llama.block_count", u32(0), /0 layers/],
  ["model", "llama.block_count", u32(1000), /1000 layers/],
  ["model", "llama.block_count", u32(500), /could not be loaded/],
  ["model", "llama.expert_count", u32(8), /8 experts in 0 groups and uses 0/],
  ["model", "llama.expert_used_count", u32(2), /0 experts in 0 groups and uses 2/],
  ["model", "llama.attention.key_length", u32(32), /could not be loaded/],
  ["model", "llama.rope.dimension_count", u32(0), /could not be loaded/],
  ["model", "llama.attention.head_count", u32(0), /0 heads/],
  ["model", "llama.attention.head_count", u32(64), /could not be loaded|is no language model/],
  ["model", "llama.attention.head_count_kv", u32(0), /0 key heads/],
  ["model", "llama.attention.head_count_kv", u32(3), /3 key heads/],
  ["model", "llama.attention.layer_norm_rms_epsilon", f32(-1), /norm epsilon -1/],
  ["model", "llama.attention.layer_norm_rms_epsilon", f32(NaN), /norm epsilon -?nan/],
  ["model", "llama.rope.freq_base", f32(0), /rope base 0/],
  ["model", "llama.rope.dimension_count", u32(7), /could not be loaded/],
  ["model", "llama.context_length", u32(0), /context length 0/],
  ["model", "llama.feed_forward_length", u32(513), /could not be loaded/],
  ["model", "tokenizer.ggml.model", str("no-such"), /could not be loaded/],
  ["model", "tokenizer.ggml.tokens", null, /no vocabulary/],
  ["model", "tokenizer.ggml.tokens", array("u32", [1, 2, 3]), /elements of type u32 instead of str/],
  ["model", "tokenizer.ggml.scores", array("f32", [0, 0]), /could not be loaded/],
  ["model", "tokenizer.ggml.scores", array("u8", new Array<number>(504).fill(0)), /could not be loaded/],
  ["model", "tokenizer.ggml.token_type", array("i32", [1]), /could not be loaded/],
  ["model", "tokenizer.ggml.model", str("none"), /no vocabulary/],
  ["model", "tokenizer.ggml.merges", array("u32", [1]), /elements of type u32 instead of str/],
  ["model", "tokenizer.chat_template", u32(1), /tokenizer\.chat_template with type u32/],
  ["mmproj", "general.architecture", null, /lacks the key general\.architecture/],
  ["mmproj", "clip.has_vision_encoder", u32(1), /clip\.has_vision_encoder with type u32 instead of bool/],
  ["mmproj", "clip.has_vision_encoder", bool(false), /could not be loaded/],
  ["mmproj", "clip.has_audio_encoder", bool(true), /audio encoder/],
  ["mmproj", "clip.use_gelu", str("no"), /clip\.use_gelu with type str instead of bool/],
  ["mmproj", "clip.projector_type", str("resampler"), /projector of type resampler/],
  ["mmproj", "clip.projector_type", bool(true), /clip\.projector_type with type bool instead of str/],
  ["mmproj", "clip.vision.image_size", u32(0), /image size 0/],
  ["mmproj", "clip.vision.image_size", u32(0x7fffffff), /image size 2147483647/],
  ["mmproj", "clip.vision.image_size", u32(182), /v\.position_embd\.weight with shape/],
  ["mmproj", "clip.vision.patch_size", u32(0), /patch size 0/],
  ["mmproj", "clip.vision.patch_size", f32(14), /clip\.vision\.patch_size with type f32 instead of u32/],
  ["mmproj", "clip.vision.patch_size", u32(7), /v\.patch_embd\.weight/],
  ["mmproj", "clip.vision.embedding_length", u32(0), /width 0/],
  ["mmproj", "clip.vision.attention.head_count", u32(0), /0 heads/],
  ["mmproj", "clip.vision.attention.head_count", u32(5), /5 heads/],
  ["mmproj", "clip.vision.attention.head_count", array("u32", [4]), /with type arr instead of u32/],
  ["mmproj", "clip.vision.attention.head_count_kv", i32(4), /head_count_kv with type i32 instead of u32/],
  ["mmproj", "clip.vision.attention.head_dim", u32(64), /which is no vision tower/],
  ["mmproj", "clip.vision.attention.layer_norm_epsilon", f32(-1), /-1 as epsilon/],
  ["mmproj", "clip.vision.attention.layer_norm_epsilon", null, /lacks the key/],
  ["mmproj", "clip.vision.block_count", u32(0), /0 layers/],
  ["mmproj", "clip.vision.block_count", u32(5), /lacks the tensor v\.blk\.4\./],
  ["mmproj", "clip.vision.block_count", u32(0xffffffff), /which is no vision tower/],
  ["mmproj", "clip.vision.feature_layer", array("i32", [5]), /state after block 5, but it has 4/],
  ["mmproj", "clip.vision.feature_layer", array("i32", [2, 4]), /mm\.0\.weight with shape \[192, \d+\] instead of \[384/],
  ["mmproj", "clip.vision.feature_layer", array("f32", [4]), /elements of type f32 instead of i32/],
  ["mmproj", "clip.vision.image_mean", array("f32", [0.5]), /1 values in clip\.vision\.image_mean/],
  ["mmproj", "clip.vision.image_mean", f32(0.5), /clip\.vision\.image_mean with type f32 instead of arr/],
  ["mmproj", "clip.vision.image_std", array("f32", [0, 0, 0]), /deviation 0/],
  ["mmproj", "clip.vision.image_std", array("i32", [1, 1, 1]), /element type other than f32/],
  ["rpn", "sdrpn.base_architecture", str("qwen2"), /base architecture qwen2/],
  ["rpn", "sdrpn.branch_layer", u32(0), /impossible sizes/],
  ["rpn", "sdrpn.branch_layer", u32(6), /impossible sizes/],
  ["rpn", "sdrpn.branch_layer", null, /lacks the key sdrpn\.branch_layer/],
  ["rpn", "sdrpn.block_count", u32(0), /impossible sizes/],
  ["rpn", "sdrpn.block_count", u32(4), /lacks the tensor|with shape/],
  ["rpn", "sdrpn.embedding_length", u32(0), /impossible sizes/],
  ["rpn", "sdrpn.embedding_length", u32(0xffffffff), /impossible sizes/],
  ["rpn", "sdrpn.embedding_length", str("192"), /sdrpn\.embedding_length with type str instead of u32/],
  ["rpn", "sdrpn.feed_forward_length", u32(511), /with shape/],
  ["rpn", "sdrpn.attention.head_count", u32(0), /impossible sizes/],
  ["rpn", "sdrpn.attention.head_count_kv", u32(0), /impossible sizes/],
  ["rpn", "sdrpn.attention.layer_norm_rms_epsilon", f32(-1), /impossible sizes/],
  ["rpn", "sdrpn.rope.freq_base", f32(NaN), /impossible sizes/],
  ["rpn", "sdrpn.rope.dimension_count", u32(49), /rope dimension 49/],
  ["rpn", "sdrpn.rope_type", u32(77), /impossible sizes/],
  ["rpn", "sdrpn.threshold", f32(2), /impossible sizes/],
];

function i32(value: number): MetaValue {
  return { type: "i32", value };
}

test("a model with a token twice", async () => {
  const path = changed("model", ({ metadata }) => {
    const tokens = metadata.get("tokenizer.ggml.tokens") as { values: string[] };
    tokens.values[300] = tokens.values[301];
  });
  await expectRejected("model", path, "MODEL_INVALID", /has the token .* twice/);
});

describe("keys", () => {
  test.each(KEYS)("%s with %s = %j", async (role, key, value, message) => {
    const path = changed(role, ({ metadata }) => (value === null ? metadata.delete(key) : metadata.set(key, value)));
    await expectRejected(role, path, INVALID[role], message);
  });
});

const TENSORS: [Role, string][] = [
  ["model", "token_embd.weight"],
  ["model", "output_norm.weight"],
  ["model", "blk.0.attn_q.weight"],
  ["model", "blk.5.ffn_down.weight"],
  ["mmproj", "v.patch_embd.weight"],
  ["mmproj", "v.position_embd.weight"],
  ["mmproj", "v.blk.0.ln1.weight"],
  ["mmproj", "v.blk.1.attn_q.weight"],
  ["mmproj", "v.blk.3.attn_out.weight"],
  ["mmproj", "v.blk.2.ffn_up.weight"],
  ["mmproj", "v.blk.2.ffn_down.weight"],
  ["mmproj", "mm.0.weight"],
  ["mmproj", "mm.0.bias"],
  ["mmproj", "mm.2.weight"],
  ["mmproj", "mm.2.bias"],
  ["rpn", "output_norm.weight"],
  ["rpn", "blk.0.attn_q.weight"],
  ["rpn", "blk.1.ffn_down.weight"],
  ["rpn", "blk.2.attn_k.weight"],
];

const ELEMENT_BYTES: Record<number, number> = { [TENSOR_TYPE.f32]: 4, [TENSOR_TYPE.f16]: 2 };

/** Leaves out the last entries of the slowest axis. */
function shorten({ tensors }: Gguf, name: string, length?: number): void {
  const tensor = tensors.find((candidate) => candidate.name === name)!;
  const last = tensor.shape.length - 1;
  tensor.shape[last] = length ?? tensor.shape[last] - 1;
  tensor.data = tensor.data.subarray(0, tensor.shape.reduce((a, b) => a * b) * ELEMENT_BYTES[tensor.type]);
}

describe("tensors", () => {
  const tensorOf = (gguf: Gguf, name: string): Gguf["tensors"][number] => gguf.tensors.find((tensor) => tensor.name === name)!;

  test.each(TENSORS)("%s without %s", async (role, name) => {
    const path = changed(role, (gguf) => gguf.tensors.splice(gguf.tensors.indexOf(tensorOf(gguf, name)), 1));
    await expectRejected(role, path, INVALID[role], role === "model" ? /could not be loaded/ : new RegExp(name.replace(/\./g, "\\.")));
  });

  test.each(TENSORS)("%s with a row too few in %s", async (role, name) => {
    const path = changed(role, (gguf) => shorten(gguf, name));
    await expectRejected(role, path, INVALID[role], role === "model" ? /could not be loaded/ : /shape \[/);
  });

  test.each(TENSORS.filter(([role]) => role !== "model"))("%s with integers in %s", async (role, name) => {
    const path = changed(role, (gguf) => {
      const tensor = tensorOf(gguf, name);
      tensor.type = TENSOR_TYPE.i32;
      tensor.data = new Uint8Array(4 * tensor.shape.reduce((a, b) => a * b));
    });
    await expectRejected(role, path, INVALID[role], /type|f16 or f32/);
  });

  test.each(["v.class_embd", "v.pre_ln.bias", "v.blk.0.attn_k.bias", "v.blk.0.ffn_up.bias"])("mmproj with %s too short", async (name) => {
    const path = changed("mmproj", (gguf) => shorten(gguf, name));
    await expectRejected("mmproj", path, "MMPROJ_INVALID", /with shape \[\d+, 1\] instead of \[\d+, 1\]/);
  });
});

describe("a model in two files", () => {
  const u16 = (value: number): MetaValue => ({ type: "u16", value });
  const first = join(directory, "split-00001-of-00002.gguf");
  const second = join(directory, "split-00002-of-00002.gguf");

  /** Writes both, the second one changed. */
  function split(change: (gguf: Gguf) => void = () => {}): void {
    const whole = readGguf(demo.model);
    const half = whole.tensors.length >> 1;
    const keys = (no: number): [string, MetaValue][] => [["split.no", u16(no)], ["split.count", u16(2)], ["split.tensors.count", { type: "i32", value: whole.tensors.length }]];
    writeGguf(first, { metadata: new Map([...whole.metadata, ...keys(0)]), tensors: whole.tensors.slice(0, half) });
    const other = { metadata: new Map(keys(1)), tensors: whole.tensors.slice(half) };
    change(other);
    writeGguf(second, other);
  }

  test("loads by its first", async () => {
    split();
    const model = await loadModel({ ...demo, model: first, threads: 1 });
    expect(model.info.layers).toBe(6);
    await model.dispose();
  });

  test("the second given instead of the first", async () => {
    split();
    await expectRejected("model", second, "MODEL_INVALID", /lacks the key|not the first/);
  });

  test("without its second", async () => {
    split();
    rmSync(second);
    await expectRejected("model", first, "MODEL_NOT_FOUND", /split-00002-of-00002\.gguf does not exist/);
  });

  test("with a second that is cut off", async () => {
    split();
    writeFileSync(second, readFileSync(second).subarray(0, -5000));
    await expectRejected("model", first, "MODEL_INVALID", /split-00002-of-00002\.gguf is truncated/);
  });

  // gguf_get_val_u16 asserts
  test.each(["split.no", "split.count"])("with %s of another type", async (key) => {
    split(({ metadata }) => metadata.set(key, u32(1)));
    if (key === "split.count") {
      writeGguf(first, { ...readGguf(first), metadata: readGguf(first).metadata.set(key, u32(2)) });
    }
    await expectRejected("model", first, "MODEL_INVALID", new RegExp(`${key} with type u32 instead of u16`));
  });
});

describe("files of another model", () => {
  test("a projector of another width is MMPROJ_MISMATCH with both widths", async () => {
    const path = changed("mmproj", (gguf) => {
      shorten(gguf, "mm.2.weight", 128);
      shorten(gguf, "mm.2.bias", 128);
    });
    await expectRejected("mmproj", path, "MMPROJ_MISMATCH", /width 128, but the model's are 192 wide/);
  });

  test("an RPN of a smaller model is RPN_MISMATCH with both widths", async () => {
    const out = join(directory, "rpn.gguf");
    await convertCheckpoint({ checkpoint: join(__dirname, "..", "fixtures", "golden", "rpn", "llava-f32"), out, type: "f32" });
    const width = (readGguf(out).metadata.get("sdrpn.embedding_length") as { value: number }).value;
    await expectRejected("rpn", out, "RPN_MISMATCH", new RegExp(`embedding length ${width}, but this model's is 192`));
  });

  test.each([
    ["sdrpn.base.block_count", u32(32), /block count 32, but this model's is 6/],
    ["sdrpn.rope.freq_base", f32(500000), /rope base 500000, but this model's is 10000/],
    ["sdrpn.attention.head_count", u32(8), /head count 8, but this model's is 4/],
  ])("an RPN with %s = %j is RPN_MISMATCH with both numbers", async (key, value, message) => {
    const path = changed("rpn", ({ metadata }) => {
      metadata.set(key, value);
      if (key === "sdrpn.attention.head_count") {
        metadata.set("sdrpn.attention.head_count_kv", value).set("sdrpn.rope.dimension_count", u32(24));
      }
    });
    await expectRejected("rpn", path, "RPN_MISMATCH", message);
  });

  test("name and vocabulary size may differ, since files are renamed and padded", async () => {
    const path = changed("rpn", ({ metadata }) => metadata.set("sdrpn.base.name", str("other")).set("sdrpn.base.vocab_size", u32(512)));
    const model = await loadModel({ ...demo, rpn: path, threads: 1 });
    expect(model.info.rpn).toMatchObject({ baseName: "other", baseVocabSize: 512 });
    await model.dispose();
  });
});

test.each(ROLES)("150 copies of the demo's %s file with bytes changed at random load or give a code", async (role) => {
  // in a process of its own, since what is missing here is an assert that would take this one down
  const result = await runNode([join(__dirname, "..", "helpers", "fuzz-load.cjs"), role, "0", "150", directory], { timeout: 100_000 });
  const lines = result.stdout.trim().split("\n");
  expect({ ...result, stdout: lines[lines.length - 1] }).toMatchObject({ code: 0, signal: null, stderr: "" });
  const outcomes = JSON.parse(lines[lines.length - 1]) as Record<string, number>;
  expect(Object.values(outcomes).reduce((a, b) => a + b)).toBe(150);
  expect(outcomes[INVALID[role]]).toBeGreaterThan(0);
}, 120_000);

test("a file that is exchanged for a good one loads from the same path", async () => {
  const path = written("model", Buffer.from("GGUF"));
  await expectRejected("model", path, "MODEL_INVALID", /is not a GGUF file/);
  copyFileSync(demo.model, path);
  const model = await loadModel({ ...demo, model: path, threads: 1 });
  await model.dispose();
});
