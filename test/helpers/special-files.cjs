// Gives pipes, devices, sockets and folders to every call that opens a file, prints what each rejects with, one JSON line a
// call, and ends by process.exit. Argument: a folder to work in.
const { execFileSync } = require("node:child_process");
const { copyFileSync, mkdirSync, symlinkSync, writeFileSync } = require("node:fs");
const { createServer } = require("node:net");
const { join } = require("node:path");
const root = join(__dirname, "..", "..");
const { loadModel, RoIPredictor, convertCheckpoint, demoModel, distill, evaluate, renderOverlay } = require(join(root, "lib", "index.js"));

const folder = process.argv[2];
const at = (name) => join(folder, name);
const pipe = (name) => (execFileSync("mkfifo", [at(name)]), at(name));
const demo = demoModel();
const golden = join(root, "test", "fixtures", "golden", "rpn", "llava-f32");

function checkpoint(name, files) {
  mkdirSync(at(name));
  copyFileSync(join(golden, "config.json"), at(`${name}/config.json`));
  files();
  return at(name);
}

/** A golden checkpoint in which one file is a pipe. */
function qwen(name, special) {
  const from = join(root, "test", "fixtures", "golden", "qwen", "qzoom-qwen3");
  mkdirSync(at(name));
  for (const file of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]) {
    if (file !== special) copyFileSync(join(from, file), at(`${name}/${file}`));
  }
  pipe(`${name}/${special}`);
  return at(name);
}

async function main() {
  const fifo = pipe("fifo");
  symlinkSync(fifo, at("link"));
  const socket = at("socket");
  await new Promise((resolve) => createServer().unref().listen(socket, resolve));
  const out = () => at("out.gguf");
  const index = JSON.stringify({ weight_map: { "model.twig_norm.weight": "part.safetensors" } });

  const model = await loadModel({ threads: 1 });
  const question = JSON.parse(require("node:fs").readFileSync(join(root, "demo", "questions.jsonl"), "utf8").split("\n")[0]);
  const image = join(root, "demo", question.image);
  writeFileSync(at("qa.jsonl"), `${JSON.stringify({ image, question: question.question })}\n`);
  const roi = await model.predictRoI(image, "What?");
  const label = (options) => distill.labelFile(model, { heads: "demo", data: at("qa.jsonl"), out: at("labels.jsonl"), ...options });
  await label({});
  const read = async (task, data, options) => evaluate(model, { task, data, out: at(`run-${task}-${data.split(".").pop()}`), ...options });
  mkdirSync(at("run"));
  pipe("run/config.json");
  mkdirSync(at("vstar"));
  copyFileSync(image, at("vstar/picture.jpg"));
  pipe("vstar/picture.json");
  writeFileSync(at("vstar/test_questions.jsonl"), `${JSON.stringify({ text: "Which? (A) a (B) b", label: "A", category: "x", question_id: 1, image: "picture.jpg" })}\n`);

  const calls = {
    "picture, pipe": () => model.predictRoI(fifo, "What?"),
    "picture, link to a pipe": () => model.answer(at("link"), "What?"),
    "picture, socket": () => model.open(socket),
    "picture, device": () => model.encodeImage("/dev/zero"),
    "picture, folder": () => renderOverlay(folder, roi),
    "picture of an overlay, pipe": () => renderOverlay(fifo, roi),
    "model": () => loadModel({ ...demo, rpn: undefined, model: fifo }),
    "mmproj": () => loadModel({ ...demo, mmproj: fifo }),
    "rpn": () => loadModel({ ...demo, rpn: fifo }),
    "predictor": () => RoIPredictor.load(fifo),
    "predictor, device": () => RoIPredictor.load("/dev/zero"),
    "checkpoint": () => convertCheckpoint({ checkpoint: fifo, out: out() }),
    "config.json": () => convertCheckpoint({ checkpoint: (mkdirSync(at("c0")), pipe("c0/config.json"), at("c0")), out: out() }),
    "safetensors": () => convertCheckpoint({ checkpoint: checkpoint("c1", () => pipe("c1/model.safetensors")), out: out() }),
    "safetensors by another name": () => convertCheckpoint({ checkpoint: checkpoint("c2", () => pipe("c2/x.safetensors")), out: out() }),
    "index": () => convertCheckpoint({ checkpoint: checkpoint("c3", () => pipe("c3/model.safetensors.index.json")), out: out() }),
    "shard": () => convertCheckpoint({ checkpoint: checkpoint("c4", () => (writeFileSync(at("c4/model.safetensors.index.json"), index), pipe("c4/part.safetensors"))), out: out() }),
    "tokenizer.json": () => convertCheckpoint({ checkpoint: qwen("c5", "tokenizer.json"), out: at("out") }),
    "tokenizer_config.json": () => convertCheckpoint({ checkpoint: qwen("c6", "tokenizer_config.json"), out: at("out") }),
    "preprocessor_config.json": () => convertCheckpoint({ checkpoint: qwen("c7", "preprocessor_config.json"), out: at("out") }),
    "chat_template.jinja": () => convertCheckpoint({ checkpoint: qwen("c8", "chat_template.jinja"), out: at("out") }),
    "base of a checkpoint": () => convertCheckpoint({ checkpoint: join(root, "test", "fixtures", "golden", "qwen", "qzoom-qwen3"), base: fifo, out: at("out") }),
    "file in the folder of converted ones": () => convertCheckpoint({ checkpoint: join(root, "test", "fixtures", "golden", "qwen", "qzoom-qwen3"), out: (mkdirSync(at("c9")), pipe("c9/mmproj.gguf"), at("c9")) }),
    "converted file": () => convertCheckpoint({ checkpoint: golden, out: fifo }),
    "question file": () => label({ data: fifo }),
    "label file": () => label({ out: fifo }),
    "label file, device": () => label({ out: "/dev/null" }),
    "heads file": () => read("custom", at("qa.jsonl"), { methods: ["attention"], heads: fifo }),
    "merged file": () => distill.mergeLabels({ files: [at("labels.jsonl")], data: at("qa.jsonl"), out: fifo }),
    "file to merge": () => distill.mergeLabels({ files: [fifo], data: at("qa.jsonl"), out: at("merged.jsonl") }),
    "labels to train on": () => distill.train(model, { labels: [fifo], out: out() }),
    "trained file": () => distill.train(model, { labels: [at("labels.jsonl")], out: fifo }),
    "training checkpoint": () => distill.train(model, { labels: [at("labels.jsonl")], out: out(), checkpoint: fifo }),
    "JSON data": () => read("textvqa", pipe("data.json")),
    "JSONL data": () => read("custom", pipe("data.jsonl")),
    "TSV data": () => read("hrbench4k", pipe("data.tsv")),
    "Parquet data": () => read("hrbench4k", pipe("data.parquet")),
    "regions of another system": () => read("custom", at("qa.jsonl"), { boxes: [{ name: "x", file: fifo }] }),
    "boxes beside a picture": () => read("vstar", at("vstar"), {}),
    "folder of a run": () => evaluate(model, { task: "custom", data: at("qa.jsonl"), out: at("run") }),
  };
  for (const [name, call] of Object.entries(calls)) {
    const start = performance.now();
    const result = await call().then(() => ({ code: "resolved" }), ({ code, message }) => ({ code, message }));
    console.log(JSON.stringify({ name, ms: performance.now() - start, ...result }));
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(9);
});
