// Every end at every stage: a child process begins a call, and ends in a way of its own when the call is at a stage.
//
//   node test/reliability/lifecycle.cjs [--jobs 2] [--only TEXT] [--every 1]
//
// Each child must end with the code that its end has (0, or 1 for an uncaught exception), without a signal and within a
// minute. `--every 7` takes each seventh combination, `--only` those whose name holds a text.
const { spawn } = require("node:child_process");
const { Report, ROOT, demoQuestions, readOptions } = require("./common.cjs");

const options = readOptions({ jobs: 2, only: "", every: 1, first: 0 });
const report = new Report("lifecycle");
const { image, question } = demoQuestions()[0];

/** What the scripts share; `at(stage)` is called on the way, and ends the program where the stage is the chosen one. */
const PRELUDE = `
const { loadModel, RoIPredictor, demoModel } = require(${JSON.stringify(`${ROOT}/lib/index.js`)});
const image = ${JSON.stringify(image)}, question = ${JSON.stringify(question)};
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const collect = async () => { for (let i = 0; i < 4; i++) { global.gc(); await sleep(5); } };
`;

/** Bodies of an async function in which \`m\`, \`s\`, \`controller\` and \`at\` are known. */
const STAGES = {
  "before loading": "at(); await load();",
  "while loading": "const l = load(); at(); await l;",
  "in onProgress": "let first = true; await load({ onProgress: () => { if (first) { first = false; at(); } } });",
  loaded: "await load(); at();",
  "while a picture is decoded": "await load(); const a = m.answer(image, question, { signal }); at(); await a;",
  "while the tower works": "await load(); const o = m.open(image, { signal }); await sleep(12); at(); s = await o;",
  opened: "await load(); s = await m.open(image); at();",
  "while a region is sought": "await load(); s = await m.open(image); const r = s.predictRoI(question, { signal }); at(); await r;",
  "region event": "await load(); for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'roi') at();",
  "in onToken": "await load(); let first = true; await m.answer(image, question, { signal, onToken: () => { if (first) { first = false; at(); } } });",
  "first text event": "await load(); let first = true; for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'text' && first) { first = false; at(); }",
  "done event": "await load(); for await (const e of m.answerStream(image, question, { signal })) if (e.type === 'done') at();",
  "while a queue waits": "await load(); const all = Array.from({ length: 12 }, () => m.answer(image, question, { signal })); await sleep(30); at(); await Promise.all(all);",
  "while disposing": "await load(); m.answer(image, question).catch(() => {}); await sleep(20); const d = m.dispose(); at(); await d;",
  disposed: "await load(); await m.dispose(); at();",
  "in a listener of the log": "let first = true; await load({ log: () => { if (first) { first = false; at(); } } });",
};

/** How a program or a call ends; \`code\` is that of the process. */
const ENDS = {
  "return at once": { body: "done();" },
  "nothing more is awaited": { body: "" },
  "process.exit(0)": { body: "process.exit(0);" },
  "process.exit(7)": { body: "process.exit(7);", code: 7 },
  "an uncaught exception": { body: "setImmediate(() => { throw new Error('mine'); });", code: 1 },
  "a throw right there": { body: "throw new Error('mine');", mine: true },
  "dispose": { body: "if (m) m.dispose().catch(fail);" },
  "dispose twice and exit": { body: "if (m) { m.dispose(); m.dispose(); } setImmediate(() => process.exit(0));" },
  "abort": { body: "controller.abort(new Error('enough'));" },
  "abort and dispose": { body: "controller.abort(); if (s) s.dispose(); if (m) m.dispose();" },
  "garbage collection": { body: "m = s = undefined; setTimeout(collect, 0);" },
  "garbage collection and exit": { body: "m = s = undefined; setTimeout(() => collect().then(() => process.exit(0)), 0);" },
};

/** Errors that a call may end with when its world ends. */
const EXPECTED = "['ABORTED', 'DISPOSED'].includes(error?.code) || error?.message === 'mine' || error instanceof TypeError && m === undefined";

function program(stage, end) {
  return `${PRELUDE}
let m, s, ended = false;
const controller = new AbortController();
const { signal } = controller;
const load = async (options = {}) => { m = await loadModel({ ...options, signal }); };
const fail = (error) => { console.error(error); process.exitCode = 9; };
const at = () => { if (ended) return; ended = true; ${end.body} };
const done = () => {};
(async () => { ${stage} })().catch((error) => {
  if (!(${EXPECTED})) fail(error);
});`;
}

/** The same in a worker thread that its parent terminates, or that ends by itself, at the stage. */
function workerProgram(stage, how) {
  const source = program(stage, { body: how === "terminate" ? "parentPort.postMessage('here'); if (end) { const until = Date.now() + 15; while (Date.now() < until); }" : "process.exit(0);" });
  return `const { Worker } = require("node:worker_threads");
const w = new Worker(${JSON.stringify(`const { parentPort } = require("node:worker_threads"); const end = Math.random() < 0.5; ${source}`)}, { eval: true });
w.on("message", () => w.terminate());
w.on("error", (error) => { throw error; });`;
}

function* combinations() {
  for (const [stage, body] of Object.entries(STAGES)) {
    for (const [name, end] of Object.entries(ENDS)) {
      // a throw in a callback of an event, such as a message of the log, is an uncaught exception of the program
      const code = end.mine ? (stage === "in a listener of the log" ? 1 : 0) : (end.code ?? 0);
      yield { name: `${stage}, ${name}`, kind: name, script: program(body, end), code };
    }
    yield { name: `${stage}, worker terminated`, kind: "worker terminated", script: workerProgram(body, "terminate"), code: 0 };
    yield { name: `${stage}, process.exit in a worker`, kind: "process.exit in a worker", script: workerProgram(body, "exit"), code: 0 };
  }
  yield { name: "two workers and the main thread", kind: "threads", script: threads(), code: 0 };
  yield { name: "a model sent to another thread", kind: "threads", script: sent(), code: 0 };
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
})();`;
}

/** What belongs to a thread cannot be posted to another, and the error says what to do instead. */
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
})();`;
}

function run({ name, kind, script, code: expected }) {
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--expose-gc", "-e", script], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000, killSignal: "SIGKILL" });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("close", (code, signal) => {
      report.try(kind);
      // an exception that nobody catches is printed by Node; everything else is silent
      const quiet = output === "" || (code === 1 && output.includes("Error: mine"));
      report.check(code === expected && signal === null && quiet, `${name}: code ${code} instead of ${expected}, signal ${signal}; ${output.trim().slice(0, 400)}`);
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
  report.end();
}

main();
