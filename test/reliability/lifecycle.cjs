// Every way of ending at every stage: a child process starts a call and ends in one of several ways when the call is at a stage.
//
//   node test/reliability/lifecycle.cjs [--jobs 2] [--only TEXT] [--every 1] [--first 0] [--seconds 60] [--break FAULT]
//
// Each child must come to its stage, and, where its end lets it, to the end of its program; end with the code that its end has
// (0, or 1 for an uncaught exception) and without a signal, within a minute; and print nothing. `--every 7` takes each seventh
// combination, `--only` those whose name holds a text.
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join, relative } = require("node:path");
const { ROOT, Report, demoQuestions, readOptions } = require("./common.cjs");

const options = readOptions({ jobs: 2, only: "", every: 1, first: 0, seconds: 60 });
const report = new Report("lifecycle");
const questions = demoQuestions();
const { image, question } = questions[0];

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-lifecycle-"));

/** A label file of six pairs, half of each map foreground. */
function writeLabels() {
  const path = join(folder, "labels.jsonl");
  const header = {
    format: "sd-rpn-labels", version: 1,
    model: { name: "pico-llava", architecture: "llama", layers: 6, heads: 4, embeddingLength: 192, grid: { width: 12, height: 12 } },
    heads: { grounding: [[3, 0]], sink: [] },
    constants: { sinkThreshold: 0.001, foregroundRatio: 0.2, backgroundRatio: 0.1, maxForegroundArea: 0.5, minAttention: 0 },
    maxTokens: 32, images: "/", shard: null,
  };
  const lines = questions.slice(0, 6).map(({ id, image, question }) => ({ id, image: relative("/", image), question, text: "?", labels: "10".repeat(72), kept: true }));
  writeFileSync(path, [header, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(""));
  return path;
}
const labels = writeLabels();

/** Shared by the scripts. `mark` reports the progress of the program to the suite through a separate pipe. */
const PRELUDE = `
const { convertCheckpoint, demoModel, distill, loadModel, RoIPredictor } = require(${JSON.stringify(`${__dirname}/common.cjs`)}).libraryOf("lifecycle", ${JSON.stringify(options)});
const image = ${JSON.stringify(image)}, question = ${JSON.stringify(question)};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const collect = async () => { for (let i = 0; i < 4; i++) { global.gc(); await sleep(5); } };
const hidden = new Float32Array(200 * 192).fill(0.1), places = { tokens: 200, imageStart: 20, imageTokens: 144, queryIndex: 199 };
const checkpoint = ${JSON.stringify(join(ROOT, "test", "fixtures", "golden", "rpn", "llava-bf16"))}, out = require("node:path").join(${JSON.stringify(folder)}, process.pid + ".gguf");
const training = { labels: ${JSON.stringify(labels)}, out, checkpoint: out + ".checkpoint", heldOut: 0.2, batchSize: 2, workers: 1 };
const mark = (what) => require("node:fs").writeSync(3, what + "\\n");
`;

/** Bodies of an async function in which `m`, `s`, `controller` and `at` are known. */
const STAGES = {
  "before loading": "await at(); await load();",
  "while loading": "const l = load(); await at(); await l;",
  "in onProgress": "let first = true; await load({ onProgress: () => { if (first) { first = false; at(); } } });",
  loaded: "await load(); await at();",
  "while a picture is decoded": "await load(); const a = m.answer(image, question, { signal }); await at(); await a;",
  "while the tower works": "await load(); const o = m.open(image, { signal }); await sleep(12); await at(); s = await o;",
  opened: "await load(); s = await m.open(image); await at();",
  "while a region is sought": "await load(); s = await m.open(image); const r = s.predictRoI(question, { signal }); await at(); await r;",
  "region event": "await load(); for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'roi') await at();",
  "in onToken": "await load(); let first = true; await m.answer(image, question, { signal, onToken: () => { if (first) { first = false; at(); } } });",
  "first text event": "await load(); let first = true; for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'text' && first) { first = false; await at(); }",
  "done event": "await load(); for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'done') await at();",
  "while a queue waits": "await load(); const all = Array.from({ length: 12 }, () => m.answer(image, question, { signal })); await sleep(30); await at(); await Promise.all(all);",
  "while disposing": "await load(); m.answer(image, question).catch(() => {}); await sleep(20); const d = m.dispose(); await at(); await d;",
  disposed: "await load(); await m.dispose(); await at();",
  "in a session's call": "await load(); s = await m.open(image); const a = s.answer(question, { signal }); await sleep(5); await at(); await a;",
  "while a session is disposed": "await load(); s = await m.open(image); s.answer(question).catch(() => {}); const d = s.dispose(); await at(); await d;",
  "a session disposed": "await load(); s = await m.open(image); await s.dispose(); await at();",
  "a stream begun and left alone": "await load(); const e = m.answerStream(image, question, { signal }); await e.next(); await at(); await e.return();",
  "while a predictor is loaded": "const p = RoIPredictor.load(demoModel().rpn, { signal }); await at(); m = await p;",
  "a predictor loaded": "m = await RoIPredictor.load(demoModel().rpn); await at();",
  "while a predictor scores": "m = await RoIPredictor.load(demoModel().rpn); const p = m.score(hidden, { ...places, signal }); await at(); await p;",
  "a predictor disposed": "m = await RoIPredictor.load(demoModel().rpn); await m.score(hidden, places); await m.dispose(); await at();",
  "while a checkpoint is converted": "const c = convertCheckpoint({ checkpoint, out, type: 'q8_0', signal }); await at(); await c;",
  "in a conversion's onProgress": "let first = true; await convertCheckpoint({ checkpoint, out, type: 'f16', signal, onProgress: () => { if (first) { first = false; at(); } } });",
  "while attention is captured": "await load(); const a = distill.attention(m, image, question, { signal }); await sleep(20); await at(); await a;",
  "while a training begins": "await load(); const t = distill.train(m, { ...training, signal }); await at(); await t;",
  "in a training's onProgress": "await load(); let first = true; await distill.train(m, { ...training, signal, onProgress: () => { if (first) { first = false; at(); } } });",
  "in a listener of the log": "let first = true; await load({ log: () => { if (first) { first = false; at(); } } });",
};

/**
 * How a program or a call ends; `code` is that of the process, `errors` are those that a call may then end with, and `open`
 * means that the program need not come to its own end.
 */
const ENDS = {
  "return at once": { body: "" },
  "nothing more is awaited": { body: "return new Promise(() => {});", open: true },
  "process.exit(0)": { body: "process.exit(0);", open: true },
  "process.exit(7)": { body: "process.exit(7);", code: 7, open: true },
  "an uncaught exception": { body: "setImmediate(() => { throw new Error('mine'); });", code: 1, open: true },
  "a throw right there": { body: "throw new Error('mine');", errors: ["mine"] },
  dispose: { body: "if (m) m.dispose().catch(fail);", errors: ["DISPOSED"] },
  "dispose twice and exit": { body: "if (m) { m.dispose(); m.dispose(); } setImmediate(() => process.exit(0));", errors: ["DISPOSED"], open: true },
  abort: { body: "controller.abort(new Error('enough'));", errors: ["ABORTED"] },
  "abort and dispose": { body: "controller.abort(); if (s) s.dispose(); if (m) m.dispose();", errors: ["ABORTED", "DISPOSED"] },
  "garbage collection": { body: "m = s = undefined; setTimeout(collect, 0);" },
  "garbage collection and exit": { body: "m = s = undefined; setTimeout(() => collect().then(() => process.exit(0)), 0);", open: true },
};

function program(stage, { body, errors = [] }) {
  return `${PRELUDE}
let m, s, r, ended = false;
const controller = new AbortController();
const { signal } = controller;
const load = async (options = {}) => { m = await loadModel({ ...options, signal }); };
const fail = (error) => { console.error(error); process.exitCode = 9; };
const at = () => { if (ended) return; ended = true; mark("stage"); ${body} };
(async () => { ${stage} })().catch((error) => {
  if (!${JSON.stringify(errors)}.includes(error?.code ?? error?.message)) fail(error);
}).then(() => mark("end"));`;
}

/** The same in a worker thread that its parent terminates, or that ends by itself, at the stage. */
function workerProgram(stage, body) {
  const source = program(stage, { body, errors: [] });
  return `const { Worker } = require("node:worker_threads");
const w = new Worker(${JSON.stringify(`const { parentPort } = require("node:worker_threads"); ${source}`)}, { eval: true });
w.on("message", () => w.terminate());
w.on("error", (error) => { throw error; });`;
}

const WORKER_ENDS = {
  "worker terminated": "parentPort.postMessage('here');",
  "worker terminated at work": "parentPort.postMessage('here'); const until = Date.now() + 15; while (Date.now() < until);",
  "process.exit in a worker": "process.exit(0);",
};

function* combinations() {
  for (const [stage, body] of Object.entries(STAGES)) {
    for (const [name, end] of Object.entries(ENDS)) {
      // a throw in a callback of an event, such as a message of the log, is an uncaught exception of the program
      const uncaught = name === "a throw right there" && stage === "in a listener of the log";
      yield { name: `${stage}, ${name}`, kind: name, script: program(body, end), code: uncaught ? 1 : (end.code ?? 0), marks: end.open || uncaught ? ["stage"] : ["stage", "end"] };
    }
    for (const [name, end] of Object.entries(WORKER_ENDS)) yield { name: `${stage}, ${name}`, kind: name, script: workerProgram(body, end), code: 0, marks: ["stage"] };
  }
  yield { name: "two workers and the main thread", kind: "threads", script: threads(), code: 0, marks: ["end"] };
  yield { name: "a model sent to another thread", kind: "threads", script: sent(), code: 0, marks: ["end"] };
}

/** Two workers and the main thread at once, each with its own model; one of the workers is terminated at work. */
function threads() {
  return `${PRELUDE}
const { Worker } = require("node:worker_threads");
const source = ${JSON.stringify(`${PRELUDE} const { parentPort } = require("node:worker_threads");
(async () => { const m = await loadModel(); for (let i = 0; i < 4; i++) parentPort.postMessage((await m.answer(image, question)).text); })();`)};
const texts = [];
const run = (count) => new Promise((done) => {
  const w = new Worker(source, { eval: true });
  w.on("message", (text) => { texts.push(text); if (--count === 0) w.terminate(); });
  w.on("error", (error) => { throw error; });
  w.on("exit", done);
});
(async () => {
  const both = [run(4), run(2)];
  const m = await loadModel();
  for (let i = 0; i < 4; i++) texts.push((await m.answer(image, question)).text);
  await Promise.all(both);
  await m.dispose();
  if (texts.length !== 10 || new Set(texts).size !== 1) throw new Error(JSON.stringify(texts));
  mark("end");
})();`;
}

/** Objects that belong to a thread cannot be posted to another one, and the error says what to do instead. */
function sent() {
  return `${PRELUDE}
const { MessageChannel } = require("node:worker_threads");
(async () => {
  const m = await loadModel();
  const s = await m.open(image);
  const r = await RoIPredictor.load(demoModel().rpn);
  const { port1, port2 } = new MessageChannel();
  for (const each of [m, s, r]) {
    try {
      port1.postMessage(each);
      throw new Error("it was sent");
    } catch (error) {
      if (error.code !== "INVALID_ARGUMENT" || !/belongs to the thread/.test(error.message)) throw error;
    }
    JSON.stringify(each);
    require("node:util").inspect(each);
  }
  port1.close();
  if (!(await m.answer(image, question)).text) throw new Error("no answer afterwards");
  await m.dispose();
  mark("end");
})();`;
}

function run({ name, kind, script, code: expected, marks }) {
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--expose-gc", "-e", script], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe", "pipe"], timeout: options.seconds * 1000, killSignal: "SIGKILL" });
    let output = "";
    let marked = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.stdio[3].on("data", (data) => (marked += data));
    child.on("close", (code, signal) => {
      report.try(kind);
      // an exception that nobody catches is printed by Node; everything else is silent
      const quiet = output === "" || (expected === 1 && code === 1 && output.includes("Error: mine"));
      const missing = marks.filter((mark) => !marked.split("\n").includes(mark)).map((mark) => `it did not come to its ${mark}; `);
      report.check(code === expected && signal === null && quiet && missing.length === 0, `${name}: ${missing.join("")}code ${code} instead of ${expected}, signal ${signal}; ${output.trim().replaceAll("\n", " ").slice(0, 400)}`);
      done();
    });
  });
}

async function main() {
  const all = [...combinations()].filter(({ name }) => name.includes(options.only)).filter((_, i) => (i - options.first) % options.every === 0);
  const lanes = Array.from({ length: options.jobs }, async () => {
    for (let next = all.shift(); next; next = all.shift()) await run(next);
  });
  await Promise.all(lanes);
  rmSync(folder, { recursive: true, force: true });
  report.end();
}

main().catch((error) => {
  report.fail(`the suite ended with ${error?.stack ?? error}`);
  report.end();
});
