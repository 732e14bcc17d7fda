// Aborts at any time: ABORTED with the signal's reason, soon; the context's cells come back; the next call is right.
//
//   node test/reliability/abort.cjs [--aborts 120] [--seed 1]
const { loadModel } = require("../../lib/index.js");
const { Report, demoQuestions, random, readOptions, sleep } = require("./common.cjs");

const options = readOptions({ aborts: 120, seed: 1 });
const report = new Report("abort");
const questions = demoQuestions();

/** Calls that take a signal, by name. */
const CALLS = {
  answer: (m, q, signal) => m.answer(q.image, q.question, { signal, maxTokens: 60 }),
  answerStream: async (m, q, signal) => {
    for await (const event of m.answerStream(q.image, q.question, { signal, maxTokens: 60 })) void event;
  },
  predictRoI: (m, q, signal) => m.predictRoI(q.image, q.question, { signal }),
  encodeImage: (m, q, signal) => m.encodeImage(q.image, { signal }),
  open: async (m, q, signal) => (await m.open(q.image, { signal })).dispose(),
};

const quantile = (values, q) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0;

async function main() {
  const next = random(options.seed);
  // so small a context that a few calls that kept their cells would fill it
  const model = await loadModel({ contextSize: 420, sessionCacheBytes: 0 });
  const { image, question } = questions[0];
  const expected = (await model.answer(image, question)).text;

  // the unit of the promise: one image encode, measured here and now
  const times = [];
  for (let i = 0; i < 5; i++) times.push((await model.answer(questions[i].image, questions[i].question)).timings.vision / 2);
  const encode = quantile(times, 0.5);

  const latencies = {};
  for (let i = 0; i < options.aborts; i++) {
    const [name, call] = Object.entries(CALLS)[i % 5];
    const q = questions[next(questions.length)];
    const controller = new AbortController();
    const reason = new Error(`number ${i}`);
    let error;
    let ended = 0;
    const running = call(model, q, controller.signal).then(() => (ended = performance.now()), (e) => ((error = e), (ended = performance.now())));
    await sleep(next(60));
    const at = performance.now();
    const early = ended > 0;
    controller.abort(reason);
    await running;
    report.try(early ? `${name}, over before the abort` : name);
    if (!early && error) (latencies[name] ??= []).push(ended - at);
    report.check(error === undefined || (error.code === "ABORTED" && error.name === "AbortError" && error.cause === reason), `${name} ${i}: ${error}`);
    if (i % 10 === 9) {
      const { text } = await model.answer(image, question);
      report.check(text === expected, `after abort ${i}: ${text} instead of ${expected}`);
    }
  }

  // what is disposed under its calls says so
  const session = await model.open(image);
  const calls = [session.answer(question), session.predictRoI(question), ...Array.from({ length: 6 }, () => model.answer(image, question))];
  const settled = Promise.allSettled(calls);
  await sleep(5);
  await session.dispose();
  await sleep(5);
  await model.dispose();
  for (const [i, { status, reason }] of (await settled).entries()) {
    report.try("disposed during a call");
    report.check(status === "fulfilled" || reason.code === "DISPOSED", `call ${i} under dispose: ${reason}`);
  }
  report.check((await settled)[7].status === "rejected", "a queue was worked off before the model was disposed");

  const all = Object.values(latencies).flat();
  // a call may find the tower at work for another's picture, hence two, and the event loop's own delay
  report.check(quantile(all, 0.9) < 2 * encode + 250, `nine in ten aborts took up to ${quantile(all, 0.9).toFixed(0)} ms, an image encode takes ${encode.toFixed(0)} ms`);
  const facts = Object.fromEntries(Object.entries(latencies).map(([name, values]) => [name, `median ${quantile(values, 0.5).toFixed(1)} ms, worst ${quantile(values, 1).toFixed(1)} ms`]));
  report.end({ "one image encode": `${encode.toFixed(1)} ms`, ...facts });
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
