// Opens damaged files of one kind, one after the other: `begin SEED WHAT` before each, `end SEED OUTCOME MB` after it. Seed -1 is
// the file without damage, which comes first. Arguments: kind, first seed, number of seeds, folder for the copies, fault or "".
const { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } = require("node:fs");
const { join } = require("node:path");
const { deflateSync } = require("node:zlib");
const sharp = require("sharp");
const { convertCheckpoint } = require("../../lib/rpn/convert-checkpoint.js");
const { headsOfFile, readHeadsFile } = require("../../lib/engine/head-choice.js");
const { readLabels } = require("../../lib/distill/label-file.js");
const { openPicture } = require("../../lib/image/picture.js");
const { takePicture } = require("../../lib/image/taken-picture.js");
const { findFiles } = require("../../lib/model/find-files.js");
const lib = require("../../lib/index.js");
const { ROOT, demoQuestions, faultsOf, random, tryFile } = require("./common.cjs");
const { fieldsOf, mutateGguf } = require("./gguf-mutate.cjs");

const intact = (good) => ({ bytes: good, what: "nothing" });

/** Bytes with one to eight changes: bits, whole bytes, pieces removed, duplicated or moved, or truncation. */
function mutateBytes(good, next, reach = good.length) {
  const kind = next(8);
  if (kind === 0) return { bytes: good.subarray(0, next(good.length)), what: "truncation" };
  if (kind === 1) {
    const at = next(Math.min(reach, good.length));
    const length = 1 + next(200);
    const twice = next(2) === 1;
    return { bytes: Buffer.concat([good.subarray(0, at + (twice ? length : 0)), good.subarray(at + (twice ? 0 : length))]), what: `${length} bytes ${twice ? "doubled" : "dropped"} at ${at}` };
  }
  const bytes = Buffer.from(good);
  for (let n = 1 + next(8); n > 0; n--) {
    const at = next(Math.min(reach, good.length));
    if (next(2)) bytes[at] ^= 1 << next(8);
    else bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)];
  }
  return { bytes, what: "bytes" };
}

/** JSON text with a number, a word or a mark changed. */
function mutateJson(good, next) {
  const text = good.toString();
  const places = [...text.matchAll(/-?\d+(\.\d+)?|"[^"]*"|[[\]{},:]/g)];
  const { 0: old, index } = places[next(places.length)];
  const values = ["0", "-1", "1e999", "18446744073709551616", "9223372036854775807", "null", "[]", "{}", '""', '"\\u0000"', "true", "", ",", `"${"x".repeat(70000)}"`, "[".repeat(20000)];
  const value = values[next(values.length)];
  return { bytes: Buffer.from(text.slice(0, index) + value + text.slice(index + old.length)), what: `${old.slice(0, 30)} at ${index} -> ${value.slice(0, 30)}` };
}

function gguf(role, folder) {
  const good = readFileSync(lib.demoModel()[role]);
  const fields = fieldsOf(good);
  return (next) => {
    const { bytes, what } = next ? mutateGguf(good, fields, next) : intact(good);
    const path = join(folder, `${role}-${process.pid}.gguf`);
    const open = () => tryFile(role, path);
    return { what, write: () => writeFileSync(path, bytes), open };
  };
}

async function images() {
  const picture = sharp(demoQuestions()[0].image).resize(160);
  const goods = Object.entries({
    jpeg: picture.clone().jpeg(),
    "jpeg, progressive, with EXIF": picture.clone().jpeg({ progressive: true }).withMetadata({ orientation: 6 }),
    png: picture.clone().png(),
    "png, palette": picture.clone().png({ palette: true }),
    "png, 16 bits": picture.clone().toColourspace("rgb16").png(),
    webp: picture.clone().webp(),
    "webp, lossless": picture.clone().webp({ lossless: true }),
    gif: picture.clone().gif(),
    tiff: picture.clone().tiff({ compression: "lzw" }),
    "tiff, tiles": picture.clone().tiff({ tile: true, tileWidth: 64, tileHeight: 64, compression: "jpeg" }),
    avif: picture.clone().avif({ effort: 0 }),
  });
  const bytes = await Promise.all(goods.map(async ([name, image]) => [name, await image.toBuffer()]));
  bytes.push(...bitmaps());
  const view = async (file) => (await openPicture(file)).view({ width: 168, height: 168 }, [0, 0, 0]);
  const expected = new Map(await Promise.all(bytes.map(async ([name, file]) => [name, await view(file)])));
  return (next) => {
    const [name, good] = bytes[next ? next(bytes.length) : 0];
    const { bytes: broken, what } = next ? mutateBytes(good, next, next(2) ? 300 : good.length) : intact(good);
    const open = async () => {
      try {
        await view(broken);
      } finally {
        const after = await view(good);
        if (!expected.get(name).equals(after)) throw new Error("the intact picture is read otherwise afterwards"); // eslint-disable-line no-unsafe-finally -- this is the graver fault
      }
    };
    return { what: `${name}, ${what}`, write: () => {}, open };
  };
}

/** BMP and ICO files, which sharp does not write: rows of one colour, runs, alpha by mask, and icons of a bitmap and of a PNG. */
function bitmaps() {
  const [width, height] = [40, 30];
  const header = (bits, { compression = 0, tall = height, masks = [] } = {}) => {
    const front = Buffer.alloc(40 + 4 * masks.length);
    front.writeUInt32LE(40, 0);
    front.writeInt32LE(width, 4);
    front.writeInt32LE(tall, 8);
    front.writeUInt16LE(1, 12);
    front.writeUInt16LE(bits, 14);
    front.writeUInt32LE(compression, 16);
    masks.forEach((mask, i) => front.writeUInt32LE(mask, 40 + 4 * i));
    return front;
  };
  const palette = (entries) => Buffer.from(Array.from({ length: 4 * entries }, (_, i) => (i * 29) % 256));
  const rows = (bits) => Buffer.from(Array.from({ length: (Math.ceil((width * bits) / 32) * 4) * height }, (_, i) => (i * 31) % 256));
  const file = (...parts) => {
    const head = Buffer.alloc(14);
    head.write("BM");
    head.writeUInt32LE(14 + parts.slice(0, -1).reduce((sum, { length }) => sum + length, 0), 10);
    return Buffer.concat([head, ...parts]);
  };
  const runs = Buffer.from(Array.from({ length: height }, (_, y) => (y % 2 ? [width, y, 0, 0] : [0, 5, 1, 2, 3, 4, 5, 0, 20, y, 0, 0])).flat());
  const icon = (data) => {
    const list = Buffer.alloc(22);
    list.writeUInt16LE(1, 2);
    list.writeUInt16LE(1, 4);
    list.writeUInt8(width, 6);
    list.writeUInt8(height, 7);
    list.writeUInt16LE(32, 12);
    list.writeUInt32LE(data.length, 14);
    list.writeUInt32LE(22, 18);
    return Buffer.concat([list, data]);
  };
  return Object.entries({
    "bmp, 1 bit": file(header(1), palette(2), rows(1)),
    "bmp, 4 bits": file(header(4), palette(16), rows(4)),
    "bmp, RLE": file(header(8, { compression: 1 }), palette(256), runs),
    "bmp, 16 bits": file(header(16, { compression: 3, masks: [0xf800, 0x7e0, 0x1f] }), rows(16)),
    "bmp, 24 bits": file(header(24, { tall: -height }), rows(24)),
    "bmp, alpha": file(header(32, { compression: 6, masks: [0xff0000, 0xff00, 0xff, 0xff000000] }), rows(32)),
    "ico": icon(Buffer.concat([header(24, { tall: 2 * height }), rows(24), rows(1)])),
    "ico, alpha": icon(Buffer.concat([header(32, { tall: 2 * height }), rows(32), rows(1)])),
  });
}

/** A PDF of two pages with vectors, text, a packed image, a tiling pattern, a filled form and an annotation. */
function intactPdf() {
  const stream = (entries, data) => Buffer.concat([Buffer.from(`<< ${entries} /Length ${data.length} >>\nstream\n`), Buffer.from(data), Buffer.from("\nendstream")]);
  const page = (contents) => `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 80] /Resources 3 0 R /Contents ${contents} 0 R /Annots [10 0 R 11 0 R] >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [10 0 R] >> >>",
    "<< /Type /Pages /Count 2 /Kids [4 0 R 5 0 R] >>",
    "<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> /XObject << /Im 8 0 R >> /Pattern << /P 9 0 R >> >>",
    page(6), page(7),
    stream("/Filter /FlateDecode", deflateSync("1 0 0 rg 5 5 20 10 re f BT /F 12 Tf 10 60 Td (Total 42) Tj ET q 30 0 0 30 60 10 cm /Im Do Q")),
    stream("", "/Pattern cs /P scn 0 0 100 80 re f 0 0 1 RG 3 w 0 0 m 50 90 60 -10 100 80 c S"),
    stream("/Type /XObject /Subtype /Image /Width 16 /Height 16 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /FlateDecode", deflateSync(Buffer.from(Array.from({ length: 768 }, (_, i) => (i * 37) % 256)))),
    stream("/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 10 10] /XStep 10 /YStep 10 /Resources << >>", "0 1 0 rg 2 2 5 5 re f"),
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (42) /F 4 /Rect [5 40 45 50] /AP << /N 12 0 R >> >>",
    "<< /Type /Annot /Subtype /Stamp /F 4 /Rect [50 40 90 50] /AP << /N 12 0 R >> >>",
    stream("/Type /XObject /Subtype /Form /BBox [0 0 40 10]", "0 0 1 rg 0 0 40 10 re f"),
  ].map((body, i) => Buffer.concat([Buffer.from(`${i + 1} 0 obj\n`), Buffer.from(body), Buffer.from("\nendobj\n")]));
  const head = Buffer.from("%PDF-1.7\n");
  const places = objects.map((_, i) => objects.slice(0, i).reduce((sum, { length }) => sum + length, head.length));
  const end = places.at(-1) + objects.at(-1).length;
  const rows = places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
  return Buffer.concat([head, ...objects, Buffer.from(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer << /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${end}\n%%EOF\n`)]);
}

/**
 * PDFs with bytes, or a number or a name of their text, changed; after each the intact one must still be drawn as it was. A pattern that
 * becomes tiny takes long to fill a page with: such a page is aborted.
 */
async function pdfs() {
  const good = intactPdf();
  const draw = async (bytes, page) => (await openPicture(takePicture(bytes, { page, dpi: 100 }), { maxImagePixels: 4e6, signal: AbortSignal.timeout(5000) })).pixels().data;
  const expected = [await draw(good, 0), await draw(good, 1)];
  return (next) => {
    const page = next ? next(2) : 0;
    const { bytes, what } = !next ? intact(good) : next(2) ? mutateBytes(good, next) : mutatePdf(good, next);
    const open = async () => {
      try {
        await draw(bytes, page);
      } finally {
        const after = await draw(good, page);
        if (Buffer.compare(expected[page], after) !== 0) throw new Error("the intact PDF is drawn otherwise afterwards"); // eslint-disable-line no-unsafe-finally -- this is the graver fault
      }
    };
    return { what: `page ${page}, ${what}`, write: () => {}, open };
  };
}

function mutatePdf(good, next) {
  const text = good.toString("latin1");
  const places = [...text.matchAll(/-?\d+(\.\d+)?|\/[A-Za-z]+|endobj|stream/g)];
  const { 0: old, index } = places[next(places.length)];
  const values = ["0", "-1", "1", "2", "4", "6", "99999999999", "1e9", "0.0001", "100000", "/Pages", "/P", "/Im", "[", "<<", ">>", "null", "(x)", "%", "/JBIG2Decode", "/LZWDecode", "/JPXDecode", "/CCITTFaxDecode"];
  const value = values[next(values.length)];
  return { bytes: Buffer.from(text.slice(0, index) + value + text.slice(index + old.length), "latin1"), what: `${old} at ${index} -> ${value}` };
}

function checkpoints(folder) {
  const from = join(ROOT, "test", "fixtures", "golden", "rpn", "llava-bf16");
  const checkpoint = join(folder, `checkpoint-${process.pid}`);
  mkdirSync(checkpoint, { recursive: true });
  const names = ["config.json", "model.safetensors"];
  for (const name of names) cpSync(join(from, name), join(checkpoint, name));
  const goods = Object.fromEntries(names.map((name) => [name, readFileSync(join(from, name))]));
  const tensors = goods["model.safetensors"];
  const header = Number(tensors.readBigUInt64LE(0));
  const index = Buffer.from(JSON.stringify({ metadata: { total_size: 1 }, weight_map: Object.fromEntries(Object.keys(JSON.parse(tensors.subarray(8, 8 + header))).map((name) => [name, "model.safetensors"])) }));
  return (next) => {
    const kind = next ? next(4) : -1;
    let changed;
    if (kind === -1) changed = { name: "config.json", ...intact(goods["config.json"]) };
    else if (kind === 0) changed = { name: "config.json", ...mutateJson(goods["config.json"], next) };
    else if (kind === 1) changed = { name: "model.safetensors", ...mutateBytes(tensors, next, next(2) ? 16 : header + 8) };
    else if (kind === 2) {
      const { bytes: text, what } = mutateJson(tensors.subarray(8, 8 + header), next);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.length));
      changed = { name: "model.safetensors", bytes: Buffer.concat([length, text, tensors.subarray(8 + header)]), what };
    } else changed = { name: "model.safetensors.index.json", ...mutateJson(index, next) };
    const { name, bytes, what } = changed;
    const write = () => {
      for (const each of names) writeFileSync(join(checkpoint, each), goods[each]);
      writeFileSync(join(checkpoint, "model.safetensors.index.json"), kind === 3 ? bytes : index);
      writeFileSync(join(checkpoint, name), bytes);
    };
    return { what: `${name}: ${what}`, write, open: () => convertCheckpoint({ checkpoint, out: join(folder, `out-${process.pid}.gguf`), type: "f16" }) };
  };
}

/** Whole checkpoints, each with one of these files damaged; its index, or its tensors' header, stand for the checkpoint itself. */
function whole(names) {
  return (folder) => {
    const golden = ["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"].map((name) => join(ROOT, "test", "fixtures", "golden", "qwen", name));
    const index = (path) => {
      const tensors = readFileSync(path);
      const header = JSON.parse(tensors.subarray(8, 8 + Number(tensors.readBigUInt64LE(0))));
      return Buffer.from(JSON.stringify({ metadata: { total_size: 1 }, weight_map: Object.fromEntries(Object.keys(header).map((name) => [name, "model.safetensors"])) }));
    };
    const sources = golden.map((from, i) => {
      const checkpoint = join(folder, `whole-${process.pid}-${i}`);
      cpSync(from, checkpoint, { recursive: true, filter: (path) => !/images|cases|expected|gguf/.test(path) });
      const goods = Object.fromEntries(["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"].map((name) => [name, readFileSync(join(from, name))]));
      goods["model.safetensors.index.json"] = index(join(from, "model.safetensors"));
      return { checkpoint, goods };
    });
    return (next) => {
      const { checkpoint, goods } = sources[next ? next(3) : 0];
      const name = names[next ? next(names.length) : 0];
      const good = goods[name];
      const { bytes, what } = !next ? intact(good) : next(4) === 0 ? mutateBytes(good, next) : mutateJson(good, next);
      const write = () => {
        for (const each of Object.keys(goods)) writeFileSync(join(checkpoint, each), each === name ? bytes : goods[each]);
      };
      return { what: `${name}: ${what}`, write, open: () => convertCheckpoint({ checkpoint, out: join(folder, `whole-out-${process.pid}`), type: "q4_k_m" }) };
    };
  };
}

const PICO = { name: "pico", architecture: "llama", layers: 6, heads: 4, embeddingLength: 192, grid: { width: 12, height: 12 } };

function heads(folder) {
  const good = Buffer.from(JSON.stringify({ format: "sd-rpn-heads", version: 1, model: PICO, chosen: { grounding: [[3, 0], [4, 1]], sink: [[5, 3]] }, used: 24, passed: 3 }));
  return (next) => {
    const { bytes, what } = !next ? intact(good) : next(2) ? mutateJson(good, next) : mutateBytes(good, next);
    const path = join(folder, `heads-${process.pid}.json`);
    return { what, write: () => writeFileSync(path, bytes), open: async () => headsOfFile(await readHeadsFile(path), PICO) };
  };
}

function labels(folder) {
  const header = {
    format: "sd-rpn-labels", version: 1,
    model: PICO,
    heads: { grounding: [[3, 1]], sink: [[3, 0]] },
    constants: { sinkThreshold: 0.001, foregroundRatio: 0.2, backgroundRatio: 0.1, maxForegroundArea: 0.25, minAttention: 0 },
    maxTokens: 16, images: ".", shard: null,
  };
  const line = (i) => ({ id: `q${i}`, image: `${i}.png`, question: "What?", text: "it", tokens: 2, logLikelihood: -0.5, labels: "10.".repeat(48), kept: true });
  const good = Buffer.from([header, ...Array.from({ length: 20 }, (_, i) => line(i))].map((each) => JSON.stringify(each)).join("\n") + "\n");
  return (next) => {
    const { bytes, what } = !next ? intact(good) : next(2) ? mutateJson(good, next) : mutateBytes(good, next, next(2) ? 600 : good.length);
    const path = join(folder, `labels-${process.pid}.jsonl`);
    return { what, write: () => writeFileSync(path, bytes), open: () => readLabels(path) };
  };
}

// texts that come with a call rather than from a file, each with an answer under it
const GRAMMARS = [
  'root ::= item ("," ws item)* # a list\nitem ::= [a-z]{1,3} | "\\"" [^"]* "\\"" | num\nnum ::= "-"? [0-9]+ ("." [0-9]+)?\nws ::= " "?\n',
  'root ::= (a | b)+ "!"\na ::= "x" (a | "")\nb ::= "\\u00e9" . [^\\x00-\\x1F]{2,5}\n',
];
const SCHEMAS = [
  { $defs: { t: { type: "object", properties: { l: { type: "boolean" }, r: { type: "array", items: { $ref: "#/$defs/t" }, maxItems: 2 } }, required: ["l"] } }, $ref: "#/$defs/t" },
  { type: "object", properties: { a: { type: "string", pattern: "^[a-z]{2,4}\\d+$", maxLength: 9 }, b: { type: ["integer", "null"], minimum: -5, maximum: 120 }, c: { enum: ["x", 2, null] } }, required: ["a", "b"], additionalProperties: { type: "number" } },
  { anyOf: [{ type: "array", prefixItems: [{ const: 1 }, { type: "string", format: "date" }], items: false }, { type: "number", minimum: 0.5, multipleOf: 0.25 }] },
];

/** A grammar with one to four of its elements replaced, doubled or left out. */
function mutateGrammar(good, next) {
  const pool = ["(", ")", "|", "*", "+", "?", "{0,3}", "{2}", "{3,}", "{0,900}", "\n", ".", '""', '"a"', '"\\u00e9"', '"\\x00"', "[a-z]", '[^"]', "root", "item", "ws", "a", "b", "root ::= item\n", "item ::= a | b\n"];
  const elements = good.match(/"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|\{[^}]*\}|[\w-]+|::=|\s+|./g);
  for (let n = 1 + next(4); n > 0; n--) {
    const at = next(elements.length);
    const pick = next(2) ? pool[next(pool.length)] : elements[next(elements.length)];
    elements.splice(at, next(3) > 0 ? 1 : 0, ...(next(4) > 0 ? [` ${pick} `] : []));
    if (elements.length === 0) elements.push(pick);
  }
  return { bytes: Buffer.from(elements.join("")), what: "elements" };
}

/** A schema with one to three of its parts replaced by others, of its own or of this list. */
function mutateSchema(good, next) {
  const schema = JSON.parse(good);
  const pool = [0, -1, 3, 1e30, 0.5, "", "x".repeat(300), null, true, false, [], {}, ["a"], "string", "integer", "array", "object", ["number", "boolean"], { $ref: "#" }, { type: "null" }, { enum: ["é", 7] },
    { type: "string", minLength: 2, maxLength: 4 }, { anyOf: [{ const: true }, {}] }, "^(a|b)*$", "^[^a]+$", "date"];
  const keywords = ["type", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "pattern", "format", "minLength", "maxLength", "minimum", "exclusiveMaximum", "multipleOf", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "title"];
  const places = [];
  const walk = (value) => {
    for (const key of Object.keys(value)) {
      places.push([value, key]);
      if (typeof value[key] === "object" && value[key] !== null) walk(value[key]);
    }
  };
  walk(schema);
  for (let n = 1 + next(3); n > 0; n--) {
    const [owner, key] = places[next(places.length)];
    const [from, fromKey] = places[next(places.length)];
    const value = next(2) ? pool[next(pool.length)] : from[fromKey];
    const name = Array.isArray(owner) || next(2) ? key : keywords[next(keywords.length)];
    if (next(6) === 0 && !Array.isArray(owner)) delete owner[key];
    else owner[name] = structuredClone(value);
  }
  return { bytes: Buffer.from(JSON.stringify(schema)), what: "parts" };
}

async function asked(texts, mutate, optionsOf) {
  const model = await lib.loadModel({ sessionCacheBytes: 0 });
  const { image, question } = demoQuestions()[0];
  return (next) => {
    const good = Buffer.from(texts[next ? next(texts.length) : 0]);
    const { bytes, what } = !next ? intact(good) : next(4) === 0 ? mutateBytes(good, next) : mutate(good.toString(), next);
    const open = () => model.answer(image, question, { ...optionsOf(bytes.toString()), roi: "never", maxTokens: 40, temperature: 2, seed: 1 });
    return { what, write: () => {}, open };
  };
}

const HISTORIES = [
  [{ role: "user", text: "What shape is purple?" }, { role: "assistant", text: "star" }],
  [{ role: "user", text: "</s> {{ x }} <0x0A>" }, { role: "assistant", text: "" }, { role: "user", text: "\u{1F600} \ud800" }, { role: "assistant", text: "a\n\nb" }],
];

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new lib.SdRpnError("INVALID_ARGUMENT", `not JSON: ${error.message}`);
  }
}

const formatOf = (text) => ({ format: { type: "json", schema: parsed(text) } });

const grammars = () => asked(GRAMMARS, mutateGrammar, (grammar) => ({ grammar }));
const schemas = () => asked(SCHEMAS.map((schema) => JSON.stringify(schema)), mutateSchema, formatOf);

const histories = () => asked(HISTORIES.map((turns) => JSON.stringify(turns)), (good, next) => mutateJson(Buffer.from(good), next), (text) => ({ history: parsed(text), exact: text.length % 2 === 0 }));

/** Small pictures, the questions about them, and a model for batches. */
async function smallBatch(folder) {
  const model = await lib.loadModel({ threads: 1, sessionCacheBytes: 0 });
  const images = join(folder, `small-${process.pid}`);
  mkdirSync(images, { recursive: true });
  const items = demoQuestions().slice(0, 4);
  for (const [i, { image }] of items.entries()) writeFileSync(join(images, `${i}.png`), await sharp(image).resize(64).png().toBuffer());
  const lines = items.map(({ question }, i) => ({ id: ["a", "b,\n\"", "é", "4"][i], image: `${i}.png`, question: `${question}\n"quoted", end` }));
  return { model, images, lines, common: { images, roi: "never", maxTokens: 2 } };
}

async function questionFiles(folder) {
  const { model, lines, common } = await smallBatch(folder);
  const good = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const [data, out] = ["data", "out"].map((name) => join(folder, `${name}-${process.pid}.jsonl`));
  return (next) => {
    const { bytes, what } = !next ? intact(good) : next(2) ? mutateJson(good, next) : mutateBytes(good, next);
    const write = () => {
      writeFileSync(data, bytes);
      rmSync(out, { force: true });
    };
    return { what, write, open: () => lib.batchFile(model, { ...common, data, out, question: "q" }) };
  };
}

/** Files of answers that are damaged and gone on with: refused as they are, or whole afterwards. */
async function answerFiles(folder) {
  const { model, lines, common } = await smallBatch(folder);
  const data = join(folder, `data-${process.pid}.jsonl`);
  writeFileSync(data, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const kinds = ["jsonl", "csv"];
  const outs = kinds.map((kind) => join(folder, `answers-${process.pid}.${kind}`));
  for (const out of outs) await lib.batchFile(model, { ...common, data, out });
  const goods = outs.map((out) => readFileSync(out));
  return (next) => {
    const kind = next ? next(2) : 0;
    const { bytes, what } = !next ? intact(goods[kind]) : kind === 0 && next(2) ? mutateJson(goods[kind], next) : mutateBytes(goods[kind], next);
    const open = async () => {
      try {
        await lib.batchFile(model, { ...common, data, out: outs[kind] });
      } catch (error) {
        if (!readFileSync(outs[kind]).equals(bytes)) throw new Error(`a file that was refused was changed: ${error}`);
        throw error;
      }
      const { AppendLog } = require("../../lib/data/append-log.js");
      const { formatOf } = require("../../lib/batch/run.js");
      const log = await AppendLog.open(outs[kind], { header: null, name: "file", format: formatOf(outs[kind]) });
      await log.close();
      const missing = lines.filter(({ id }) => !log.ids.has(id));
      if (missing.length > 0) throw new Error(`not in the file: ${JSON.stringify(missing)}`);
    };
    return { what: `${kinds[kind]}, ${what}`, write: () => writeFileSync(outs[kind], bytes), open };
  };
}

/** Folders of a model's files, of which one has a damaged header: what lies beside a model is told by them. */
function folders(folder) {
  const roles = ["model", "mmproj", "rpn"];
  const goods = roles.map((role) => readFileSync(lib.demoModel()[role]).subarray(0, 40000));
  const place = join(folder, `folder-${process.pid}`);
  mkdirSync(place, { recursive: true });
  return (next) => {
    const at = next ? next(3) : 0;
    const { bytes, what } = !next ? intact(goods[at]) : mutateBytes(goods[at], next, next(2) ? 400 : goods[at].length);
    const write = () => roles.forEach((role, i) => writeFileSync(join(place, `${role}.gguf`), i === at ? bytes : goods[i]));
    return { what: `${roles[at]}: ${what}`, write, open: () => findFiles({ model: next && next(2) ? join(place, "model.gguf") : place }) };
  };
}

const KINDS = {
  question: questionFiles, answer: answerFiles, folder: folders,
  image: images, pdf: pdfs, checkpoint: checkpoints, index: whole(["model.safetensors.index.json"]), tokenizer: whole(["tokenizer.json", "tokenizer.json", "tokenizer.json", "tokenizer_config.json"]),
  config: whole(["config.json", "config.json", "config.json", "preprocessor_config.json"]), label: labels, heads, grammar: grammars, schema: schemas, history: histories,
};

async function main(kind, first, count, folder, faultName = "") {
  const make = KINDS[kind] ? await KINDS[kind](folder) : gguf(kind, folder);
  const [fault] = faultsOf("fuzz", faultName);
  const broken = (seed) => fault && (fault.every ? seed >= 0 : seed === (fault.good ? -1 : 2));
  writeSync(1, "ready\n");
  for (const seed of [-1, ...Array.from({ length: count }, (_, i) => first + i)]) {
    const { what, write, open } = make(seed < 0 ? undefined : random(seed));
    write();
    writeSync(1, `begin ${seed} ${JSON.stringify(what.slice(0, 300))}\n`);
    let outcome = "works";
    try {
      await (broken(seed) ? fault.make(open, lib)() : open());
    } catch (error) {
      const typed = error instanceof lib.SdRpnError && error.code !== "INTERNAL";
      outcome = typed ? error.code : `untyped: ${String(error?.stack ?? error).slice(0, 300)}`;
    }
    writeSync(1, `end ${seed} ${JSON.stringify(outcome)} ${Math.round(process.resourceUsage().maxRSS / 1000)}\n`);
  }
}

const [kind, first, count, folder, fault] = process.argv.slice(2);
main(kind, Number(first), Number(count), folder, fault).catch((error) => {
  console.error(error);
  process.exitCode = 9;
});
