import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { convertCheckpoint, demoModel, loadModel, pull, type PullProgress } from "../../src/index";
import { readGgufKeys } from "../../src/model/gguf-header";
import { demoQuestions, ROOT } from "../helpers/demo";
import { array, encodeGguf, type Gguf, type MetaValue, readGguf, str, u32, writeGguf } from "../helpers/gguf-writer";
import { HubServer } from "../helpers/hub-server";

const demo = demoModel();
const [question] = demoQuestions("object");
let root: string;
beforeAll(() => (root = mkdtempSync(join(tmpdir(), "sd-rpn-names-"))));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let n = 0;
/** A folder with copies of the demo's files under other names. */
function folderWith(files: Partial<Record<string, keyof typeof demo>>): string {
  const folder = join(root, String(n++));
  mkdirSync(folder);
  for (const [name, role] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    cpSync(demo[role!], join(folder, name));
  }
  return folder;
}

async function loaded(options: Parameters<typeof loadModel>[0]): Promise<{ model: string; mmproj: string; rpn: string | null; text: string }> {
  await using model = await loadModel({ threads: 1, ...options });
  const { text } = await model.answer(question.image, question.question);
  const { files } = model.info;
  return { model: basename(files.model), mmproj: basename(files.mmproj), rpn: files.rpn && basename(files.rpn), text };
}

/** A file that says what it is, and has nothing else. */
function stub(path: string, keys: Record<string, MetaValue>): void {
  writeGguf(path, { metadata: new Map(Object.entries(keys)), tensors: [] });
}

describe("what lies beside a model", () => {
  const plain = { "a.gguf": "rpn", "b.gguf": "model", "c.GGUF": "mmproj" } as const;

  test("a folder, and a file, are told by their metadata, whatever they are called", async () => {
    const folder = folderWith(plain);
    const all = { model: "b.gguf", mmproj: "c.GGUF", rpn: "a.gguf", text: question.answer };
    expect(await loaded({ model: folder })).toEqual(all);
    expect(await loaded({ model: join(folder, "b.gguf") })).toEqual(all);
  });

  test("rpn: null is none, wherever one lies; a model and an mmproj file that are named are all there is", async () => {
    const folder = folderWith(plain);
    expect((await loaded({ model: folder, rpn: null })).rpn).toBeNull();
    expect((await loaded({ model: join(folder, "b.gguf"), mmproj: join(folder, "c.GGUF") })).rpn).toBeNull();
    expect((await loaded({ model: folder, mmproj: demo.mmproj })).rpn).toBe("a.gguf");
    expect((await loaded({ model: join(folder, "b.gguf"), rpn: demo.rpn })).rpn).toBe(basename(demo.rpn));
    expect((await loaded({ rpn: null })).rpn).toBeNull();
  });

  test("files of other models and of other kinds are passed over", async () => {
    const folder = folderWith(plain);
    stub(join(folder, "mmproj-of-qwen.gguf"), { "general.architecture": str("clip"), "clip.projector_type": str("qwen3vl_merger"), "clip.vision.projection_dim": u32(192) });
    stub(join(folder, "network-of-7b.gguf"), { "general.architecture": str("sdrpn"), "sdrpn.base.block_count": u32(32), "sdrpn.embedding_length": u32(4096) });
    stub(join(folder, "network-of-qwen.gguf"), { "general.architecture": str("sdrpn"), "sdrpn.base_architecture": str("qwen2vl"), "sdrpn.base.block_count": u32(6), "sdrpn.embedding_length": u32(192) });
    stub(join(folder, "lora.gguf"), { "general.architecture": str("llama"), "general.type": str("adapter"), "llama.block_count": u32(6) });
    stub(join(folder, "imatrix.gguf"), { "general.type": str("imatrix") });
    writeFileSync(join(folder, "damaged.gguf"), "GGUF and nothing else");
    writeFileSync(join(folder, "empty.gguf"), "");
    mkdirSync(join(folder, "folder.gguf"));
    writeFileSync(join(folder, "b.gguf.partial"), readFileSync(demo.model));
    expect(await loaded({ model: folder })).toEqual({ model: "b.gguf", mmproj: "c.GGUF", rpn: "a.gguf", text: question.answer });
  });

  test("of several that fit none is guessed: their names", async () => {
    const two = folderWith({ "q4.gguf": "model", "q8.gguf": "model", "m.gguf": "mmproj" });
    await expect(loadModel({ model: two })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/Expected one language model in .* but there are 2: q4\.gguf, q8\.gguf; give the path of one as model$/) });
    expect((await loaded({ model: join(two, "q8.gguf") })).model).toBe("q8.gguf");
    const projectors = folderWith({ ...plain, "d.gguf": "mmproj" });
    await expect(loadModel({ model: projectors })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/one mmproj file .* 2: c\.GGUF, d\.gguf; .* as mmproj/) });
    expect((await loaded({ model: projectors, mmproj: join(projectors, "d.gguf") })).mmproj).toBe("d.gguf");
    const networks = folderWith({ ...plain, "d.gguf": "rpn" });
    await expect(loadModel({ model: networks })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/2: a\.gguf, d\.gguf; .* as rpn, or null for none/) });
    expect((await loaded({ model: networks, rpn: null })).rpn).toBeNull();
  });

  test("what is missing is told", async () => {
    const lone = folderWith({ "b.gguf": "model" });
    await expect(loadModel({ model: lone })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/Expected an mmproj file for b\.gguf in .*, but there is none/) });
    stub(join(lone, "m.gguf"), { "general.architecture": str("clip"), "clip.projector_type": str("resampler") });
    await expect(loadModel({ model: lone })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/what is there does not fit: m\.gguf/) });
    await expect(loadModel({ model: folderWith({ "m.gguf": "mmproj" }) })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringMatching(/language model .* does not fit: m\.gguf/) });
    await expect(loadModel({ model: folderWith({}) })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringMatching(/there is none/) });
    await expect(loadModel({ model: join(root, "nowhere.gguf") })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringMatching(/does not exist/) });
    for (const role of ["mmproj", "rpn"] as const) {
      await expect(loadModel({ model: demo[role] })).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringMatching(/is no language model but a/) });
    }
    writeFileSync(join(root, "text.gguf"), "text");
    await expect(loadModel({ model: join(root, "text.gguf") })).rejects.toMatchObject({ code: "MODEL_INVALID" });
    await expect(loadModel({ model: "/dev/null" })).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringMatching(/character device/) });
  });

  test.each(["qzoom-qwen3", "sdrpn-qwen2.5"])("the folder that convert makes of %s, also among other models", async (name) => {
    const folder = folderWith({ "pico.gguf": "mmproj", "pico-network.gguf": "rpn" });
    await convertCheckpoint({ checkpoint: join(ROOT, "test", "fixtures", "golden", "qwen", name), out: folder, type: "f16" });
    await using model = await loadModel({ model: join(folder, "model.gguf"), threads: 1 });
    expect(model.info.files).toEqual({ model: join(folder, "model.gguf"), mmproj: join(folder, "mmproj.gguf"), rpn: join(folder, "rpn.gguf") });
    expect(model.info.family).toBe(name.includes("3") ? "qwen3-vl" : "qwen2.5-vl");
  });

  test("a model in several files is one", async () => {
    const folder = folderWith({ "m.gguf": "mmproj", "r.gguf": "rpn" });
    const whole = readGguf(demo.model);
    const half = whole.tensors.length >> 1;
    const keys = (no: number): [string, MetaValue][] => [["split.no", { type: "u16", value: no }], ["split.count", { type: "u16", value: 2 }], ["split.tensors.count", { type: "i32", value: whole.tensors.length }]];
    writeGguf(join(folder, "x-00001-of-00002.gguf"), { metadata: new Map([...whole.metadata, ...keys(0)]), tensors: whole.tensors.slice(0, half) });
    writeGguf(join(folder, "x-00002-of-00002.gguf"), { metadata: new Map([...whole.metadata, ...keys(1)]), tensors: whole.tensors.slice(half) });
    expect(await loaded({ model: folder })).toMatchObject({ model: "x-00001-of-00002.gguf", text: question.answer });
  });
});

describe("metadata of GGUF files", () => {
  const read = (bytes: Buffer) => {
    const path = join(root, `${n++}.gguf`);
    writeFileSync(path, bytes);
    return readGgufKeys(path);
  };
  const values: Record<string, MetaValue> = {
    a: { type: "u8", value: 200 }, b: { type: "i8", value: -3 }, c: { type: "u16", value: 60000 }, d: { type: "i16", value: -5 }, e: u32(4e9), f: { type: "i32", value: -7 }, g: { type: "f32", value: 0.5 },
    h: { type: "bool", value: true }, i: { type: "u64", value: 2n ** 40n }, j: { type: "i64", value: -9n }, k: { type: "f64", value: 0.1 }, l: str("é text"),
    long: str("x".repeat(5000)), list: array("string", ["a", "bb", ""]), numbers: array("u32", [1, 2, 3]), last: str("end"),
  };

  test("every type, behind arrays and texts that are passed over", async () => {
    const keys = await read(encodeGguf({ metadata: new Map(Object.entries(values)), tensors: [] }));
    expect(Object.fromEntries(keys!)).toEqual({ a: 200, b: -3, c: 60000, d: -5, e: 4e9, f: -7, g: 0.5, h: true, i: 2 ** 40, j: -9, k: 0.1, l: "é text", last: "end" });
  });

  test("a vocabulary of 150,000 texts is passed in a moment", async () => {
    const words = Array.from({ length: 150_000 }, (_, i) => `word ${i}`);
    const bytes = encodeGguf({ metadata: new Map([["tokens", array("string", words)], ["last", str("end")]]), tensors: [] });
    const start = performance.now();
    expect((await read(bytes))!.get("last")).toBe("end");
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test("whatever is damaged, it ends soon, with keys or without", async () => {
    const good = encodeGguf({ metadata: new Map(Object.entries(values)), tensors: [] });
    for (let size = 0; size < 200; size++) expect(await read(good.subarray(0, size))).toBeUndefined();
    let without = 0;
    const start = performance.now();
    for (let at = 4; at < good.length; at += 7) {
      for (const value of [0xff, 0x09, 0x00]) {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        without += (await read(bytes)) === undefined ? 1 : 0;
      }
    }
    expect(without).toBeGreaterThan(20);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test("demo files by what is read of real ones", async () => {
    const keys = await readGgufKeys(demo.model, (found) => found.has("llama.block_count"));
    expect(keys!.get("llama.block_count")).toBe(6);
    expect(keys!.has("tokenizer.ggml.model")).toBe(false); // it was enough
    const { metadata } = readGguf(demo.mmproj) as Gguf;
    const projector = await readGgufKeys(demo.mmproj);
    for (const [key, { type, ...rest }] of metadata) {
      if (type !== "array") expect([key, projector!.get(key)]).toEqual([key, typeof (rest as { value: unknown }).value === "bigint" ? Number((rest as { value: bigint }).value) : (rest as { value: unknown }).value]);
    }
  });
});

describe("models by name on a hub", () => {
  let server: HubServer;
  const env = { ...process.env };
  beforeEach(async () => {
    server = new HubServer("maker/pico");
    for (const role of ["model", "mmproj", "rpn"] as const) server.files.set(basename(demo[role]), readFileSync(demo[role]));
    await server.start();
    process.env.HF_ENDPOINT = server.url;
    process.env.SD_RPN_CACHE = join(root, `cache-${n++}`);
    delete process.env.HF_TOKEN;
  });
  afterEach(async () => {
    await server.stop();
    process.env = { ...env };
  });

  test("what was fetched is loaded by its name, without asking the hub again", async () => {
    const { folder, files } = await pull("maker/pico");
    expect(files).toHaveLength(3);
    const asked = server.asked.length;
    const all = { model: "pico-llava-f16.gguf", mmproj: "pico-mmproj-f16.gguf", rpn: "pico-rpn-f16.gguf", text: question.answer };
    expect(await loaded({ model: "hf:maker/pico" })).toEqual(all);
    expect(await loaded({ model: "hf:maker/pico:pico-llava-f16.gguf" })).toEqual(all);
    expect(await loaded({ model: "hf:maker/pico", rpn: null })).toEqual({ ...all, rpn: null, text: expect.any(String) as string });
    expect(await loaded({ model: demo.model, mmproj: "hf:maker/pico:pico-mmproj-f16.gguf", rpn: "hf:maker/pico:pico-rpn-f16.gguf", download: true })).toEqual(all);
    expect(server.asked).toHaveLength(asked);
    expect(folder.startsWith(process.env.SD_RPN_CACHE!)).toBe(true);
  });

  test("what was not fetched is MODEL_NOT_FOUND with the command, and nothing is asked for; download: true fetches it", async () => {
    await expect(loadModel({ model: "hf:maker/pico" })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining("fetch it with `sd-rpn pull maker/pico`, or pass download: true") });
    await expect(loadModel({ model: demo.model, mmproj: "hf:maker/pico:pico-mmproj-f16.gguf" })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining("`sd-rpn pull maker/pico:pico-mmproj-f16.gguf`") });
    expect(server.asked).toEqual([]);
    const seen: PullProgress[] = [];
    expect((await loaded({ model: "hf:maker/pico", download: true, onDownload: (progress) => seen.push(progress) })).text).toBe(question.answer);
    expect(seen.at(-1)).toMatchObject({ file: "pico-llava-f16.gguf", received: seen.at(-1)!.size });
  });

  test("a repository of which only the mmproj file was fetched is not there yet", async () => {
    await pull("maker/pico:pico-mmproj-f16.gguf");
    await expect(loadModel({ model: "hf:maker/pico" })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    expect((await loaded({ model: "hf:maker/pico", download: true })).text).toBe(question.answer);
  });

  test("a repository whose model was deleted, or whose mark was damaged, is fetched again", async () => {
    const { folder } = await pull("maker/pico");
    for (const spoil of [() => rmSync(join(folder, "pico-llava-f16.gguf")), () => writeFileSync(join(folder, ".sd-rpn", "fetched"), '{"files":'), () => writeFileSync(join(folder, ".sd-rpn", "fetched"), '{"files":[]}')]) {
      spoil();
      await expect(loadModel({ model: "hf:maker/pico" })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining("sd-rpn pull maker/pico") });
      expect((await loaded({ model: "hf:maker/pico", download: true })).text).toBe(question.answer);
    }
    expect(server.fetches).toHaveLength(4);
  });

  test("a model in a folder of its repository finds what lies in others", async () => {
    server.files.set("q8/pico-q8_0.gguf", readFileSync(demo.model));
    server.files.delete("pico-llava-f16.gguf");
    expect(await loaded({ model: "hf:maker/pico:q8/pico-q8_0.gguf", download: true })).toMatchObject({ model: "pico-q8_0.gguf", rpn: "pico-rpn-f16.gguf", text: question.answer });
  });

  test("an abort ends fetching, and an error of onDownload is what loading rejects with; the next call goes on", async () => {
    const reason = new Error("enough");
    server.faults.push({ stallAfter: 1000 });
    const controller = new AbortController();
    const onDownload = ({ received }: PullProgress): void => void (received >= 1000 && controller.abort(reason));
    await expect(loadModel({ model: "hf:maker/pico", download: true, onDownload, signal: controller.signal })).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    const mine = new Error("mine");
    await expect(loadModel({ model: "hf:maker/pico", download: true, onDownload: () => { throw mine; } })).rejects.toBe(mine);
    expect((await loaded({ model: "hf:maker/pico", download: true })).text).toBe(question.answer);
  });

  test.each<[object, RegExp]>([
    [{ model: "hf:maker" }, /name on a hub.* for model but received hf:maker/],
    [{ model: "hf:maker/pico:../x.gguf" }, /name on a hub/],
    [{ model: demo.model, mmproj: "hf:maker/pico" }, /name of one file, "hf:owner\/name:file", for mmproj/],
    [{ model: demo.model, mmproj: demo.mmproj, rpn: "hf:maker/pico" }, /name of one file.* for rpn/],
    [{ model: "hf:maker/pico", download: "yes" }, /boolean for download/],
    [{ rpn: "x.gguf" }, /for model but received undefined/],
  ])("%j is INVALID_ARGUMENT", async (options, message) => {
    await expect(loadModel(options as never)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
    expect(server.asked).toEqual([]);
  });

  test("an endpoint that is not allowed", async () => {
    process.env.HF_ENDPOINT = "http://example.com";
    await expect(pull("maker/pico")).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("HF_ENDPOINT") });
  });
});

