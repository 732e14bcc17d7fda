// A child for every order of create, use, close and exit: each must end by itself with code 0 and print nothing.
import { runScript } from "../helpers/child";

/** Programs that run to their end, and print a mark there. */
const cases: Record<string, string> = {
  "the library is imported and nothing else": "",
  "a model is loaded and left": "await loadModel();",
  "a model is loaded, used and left": "const m = await loadModel(); await ask(m);",
  "a model is loaded, used and disposed": "const m = await loadModel(); await ask(m); await m.dispose();",
  "a model is disposed twice": "const m = await loadModel(); await m.dispose(); await m.dispose();",
  "dispose is not awaited": "const m = await loadModel(); await ask(m); m.dispose();",
  "an answer is not awaited": "const m = await loadModel(); ask(m);",
  "disposed while answering": "const m = await loadModel(); const a = ends(ask(m), 'DISPOSED'); await m.dispose(); await a;",
  "sessions are left open": "const m = await loadModel(); const s = await m.open(image); await s.answer(q.question);",
  "the model goes before its session": "const m = await loadModel(); const s = await m.open(image); await m.dispose(); await s.dispose();",
  "two models side by side": "const [a, b] = await Promise.all([loadModel(), loadModel()]); await Promise.all([ask(a), ask(b)]); await a.dispose(); await ask(b);",
  "models one after the other": "for (let i = 0; i < 3; i++) { const m = await loadModel(); await ask(m); await m.dispose(); }",
  "loading fails": "await ends(loadModel({ model: 'no.gguf', mmproj: 'no.gguf' }), 'MODEL_NOT_FOUND');",
  "loading is aborted": "const c = new AbortController(); await ends(loadModel({ signal: c.signal, onProgress: () => c.abort() }), 'ABORTED');",
  "a stream is left early": "const m = await loadModel(); let type; for await (const e of m.answerStream(image, q.question)) { type = e.type; break; } if (type !== 'roi') throw new Error(type);",
  "a stream is never read": "const m = await loadModel(); m.answerStream(image, q.question);",
  "a stream is read to its first event and kept": "const m = await loadModel(); globalThis.kept = m.answerStream(image, q.question); await kept.next();",
  "a model is collected": "await (async () => { const m = await loadModel(); await ask(m); })(); for (let i = 0; i < 5; i++) { global.gc(); await new Promise((r) => setTimeout(r, 10)); }",
  "a predictor is loaded and left": "await RoIPredictor.load(demoModel().rpn);",
};

/** Throws where a call does not end with this code. */
const ENDS = `const ends = (call, code) => call.then(() => { throw new Error("it did not end with " + code); }, (error) => { if (error.code !== code) throw error; });`;

test.concurrent.each(Object.entries(cases))("%s", async (_name, body) => {
  const { code, signal, stdout, stderr } = await runScript(`${ENDS} ${body}; console.log("end");`, { nodeArgs: ["--expose-gc"] });
  expect({ code, signal, stdout, stderr }).toEqual({ code: 0, signal: null, stdout: "end\n", stderr: "" });
});

/** Programs that end themselves, with a code that no other end has. */
const exits: Record<string, string> = {
  "right after loading": "await loadModel(); process.exit(7);",
  "while answering": "const m = await loadModel(); ask(m).catch(() => {}); setTimeout(() => process.exit(7), 40);",
  "in onToken": "const m = await loadModel(); await ask(m, { onToken: () => process.exit(7) });",
  "while a queue waits": "const m = await loadModel(); for (let i = 0; i < 20; i++) ask(m).catch(() => {}); setTimeout(() => process.exit(7), 60);",
  "right after dispose": "const m = await loadModel(); await ask(m); m.dispose(); process.exit(7);",
};

test.concurrent.each(Object.entries(exits))("process.exit %s", async (_name, body) => {
  const { code, signal, stdout, stderr } = await runScript(body);
  expect({ code, signal, stdout, stderr }).toEqual({ code: 7, signal: null, stdout: "", stderr: "" });
});

// a thread at work while statics are destroyed crashes one time in twenty: hence many
test.concurrent.each(Array.from({ length: 32 }, (_, i) => i / 2))("process.exit %d ms after loading began", async (ms) => {
  const { code, signal, stderr } = await runScript(`loadModel().catch(() => {}); setTimeout(() => process.exit(7), ${ms});`);
  expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: "" });
});

const uncaught: Record<string, string> = {
  "while loading": "loadModel().catch(() => {}); setTimeout(() => { throw new Error('mine'); }, 3);",
  "while answering": "const m = await loadModel(); ask(m).catch(() => {}); setTimeout(() => { throw new Error('mine'); }, 40);",
};

test.concurrent.each(Object.entries(uncaught))("an uncaught exception %s", async (_name, body) => {
  const { code, signal, stderr } = await runScript(body);
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(stderr).toContain("Error: mine");
});

test("calls in a listener of the program's exit are refused", async () => {
  const body = `
    const m = await loadModel();
    process.on("exit", () => {
      m.answer(image, q.question).catch(() => {});
      m.predictRoI(image, q.question).catch(() => {});
      console.log("called");
    });`;
  const { code, signal, stdout, stderr } = await runScript(body);
  expect({ code, signal, stdout, stderr }).toEqual({ code: 0, signal: null, stdout: "called\n", stderr: "" });
});

const worker = (body: string, end: string) => `
  const { Worker } = require("node:worker_threads");
  const w = new Worker(\`
    const { loadModel } = require("./lib/index.js");
    const { parentPort } = require("node:worker_threads");
    (async () => { const m = await loadModel(); ${body} })();
  \`, { eval: true });
  const exited = new Promise((resolve) => w.on("exit", resolve));
  let posted = 0;
  w.on("message", () => posted++);
  w.on("error", (error) => { throw error; });
  ${end}
  await exited;
  console.log("posted", posted);
`;

const workerCases: Record<string, string> = {
  "a worker ends by itself": worker(`await m.answer("\${image}", "\${q.question}"); parentPort.postMessage(1);`, ""),
  "a worker is terminated while idle": worker("parentPort.postMessage(1); setInterval(() => {}, 1000);", "w.on('message', () => w.terminate());"),
  "a worker is terminated while answering": worker(
    `parentPort.postMessage(1); for (;;) await m.answer("\${image}", "\${q.question}");`,
    "w.on('message', () => setTimeout(() => w.terminate(), 50));",
  ),
  "a worker is terminated while the main thread answers too": worker(
    `parentPort.postMessage(1); for (;;) await m.answer("\${image}", "\${q.question}");`,
    "const m = await loadModel(); w.on('message', () => setTimeout(() => w.terminate(), 50)); for (let i = 0; i < 3; i++) await ask(m);",
  ),
};

test.concurrent.each(Object.entries(workerCases))("%s", async (_name, body) => {
  const { code, signal, stdout, stderr } = await runScript(body);
  expect({ code, signal, stdout, stderr }).toEqual({ code: 0, signal: null, stdout: "posted 1\n", stderr: "" });
});
