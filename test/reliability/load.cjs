// Overlapping calls: every promise settles once, with what the same call gives alone, in a fair order; memory comes back.
//
//   node --expose-gc test/reliability/load.cjs [--calls 200] [--seed 1] [--parallel 1] [--rounds 3]
const { readFileSync } = require("node:fs");
const sharp = require("sharp");
const { loadModel } = require("../../lib/index.js");
const { Report, demoQuestions, random, readOptions, residentMB, sleep } = require("./common.cjs");

const options = readOptions({ calls: 200, seed: 1, parallel: 1, rounds: 3 });
const report = new Report("load");
const questions = demoQuestions();

/** Largest difference of two maps' probabilities that the place of cells in the KV cache may make; features have none. */
const MAP_TOLERANCE = 1e-3;
let mapDifference = 0;
/**
 * Clients, one for each picture, take turns. A call may still be overtaken by so many that stand further back in their own
 * client's line: those that run beside it and are shorter than it is.
 */
const OVERTAKEN = 8 + 2 * options.parallel;

const bad = (code, call) => ({ kind: `bad input: ${code}`, code, call });

/** One call of each kind; `call(signal)` starts it. Good ones resolve to what must not depend on the company. */
function makeCall(next, pictures) {
  const { question } = questions[next(questions.length)];
  const { path, bytes, raw } = pictures[next(pictures.length)];
  const image = [path, bytes, raw][next(3)];
  const text = ({ text, finishReason, usedRoI, usage }) => ({ text, finishReason, usedRoI, tokens: usage.completionTokens });
  const good = [
    ["answer", (m, signal) => m.answer(image, question, { maxTokens: 12, signal }).then((a) => ({ ...text(a), map: a.roi.map.data }))],
    ["answer, one view", (m, signal) => m.answer(image, question, { roi: "never", maxTokens: 12, signal }).then(text)],
    ["answer, always", (m, signal) => m.answer(image, question, { roi: "always", maxTokens: 12, signal }).then(text)],
    ["answer, boxes", (m, signal) => m.answer(image, question, { roi: [{ x: 3, y: 5, width: 90, height: 70 }], maxTokens: 12, signal }).then(text)],
    ["answer, sampled", (m, signal) => m.answer(image, question, { temperature: 0.7, seed: next.seed, maxTokens: 12, signal }).then(text)],
    ["predictRoI", (m, signal) => m.predictRoI(image, question, { signal }).then(({ found, map }) => ({ found, map: map.data }))],
    ["encodeImage", (m, signal) => m.encodeImage(image, { signal }).then((features) => ({ features: Buffer.from(features.buffer, features.byteOffset, features.byteLength).toString("base64") }))],
    [
      "answerStream",
      async (m, signal) => {
        let said = "";
        for await (const event of m.answerStream(image, question, { maxTokens: 12, signal })) {
          if (event.type === "text") said += event.text;
          if (event.type === "done") return { ...text(event.answer), said };
        }
      },
    ],
    [
      "session",
      async (m, signal) => {
        const session = await m.open(image, { signal });
        try {
          const [a, b] = await Promise.all([session.answer(question, { maxTokens: 12, signal }), session.predictRoI(question, { signal })]);
          return { ...text(a), map: b.map.data };
        } finally {
          await session.dispose();
        }
      },
    ],
  ];
  const wrong = [
    bad("IMAGE_INVALID", (m) => m.answer("/no/such/picture.png", question)),
    bad("IMAGE_INVALID", (m) => m.answer(bytes.subarray(0, bytes.length >> 1), question)),
    bad("IMAGE_INVALID", (m) => m.predictRoI({ ...raw, height: raw.height + 1 }, question)),
    bad("IMAGE_INVALID", (m) => m.answer(Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>"), question)),
    bad("INVALID_ARGUMENT", (m) => m.answer(image, " ")),
    bad("INVALID_ARGUMENT", (m) => m.answer(image, question, { maxToken: 3 })),
    bad("INVALID_ARGUMENT", (m) => m.answer(image, question, { roi: [{ x: 90000, y: 0, width: 5, height: 5 }] })),
    bad("CONTEXT_OVERFLOW", (m) => m.answer(image, "why ".repeat(20000))),
  ];
  const dice = next(100);
  if (dice < 15) return { ...wrong[next(wrong.length)], client: image };
  const [kind, call] = good[next(good.length)];
  if (dice < 20) return { kind: "onToken throws", client: image, code: "mine", call: (m) => m.answer(image, question, { onToken: () => { throw Object.assign(new Error("mine"), { code: "mine" }); } }) };
  if (dice < 45) return { kind: `aborted: ${kind}`, client: image, code: "ABORTED", after: dice < 25 ? -1 : next(400), call };
  return { kind, client: image, call };
}

function same(a, b) {
  const { map: mapA = [], ...restA } = a;
  const { map: mapB = [], ...restB } = b;
  if (JSON.stringify(restA) !== JSON.stringify(restB) || mapA.length !== mapB.length) return false;
  // where a call's cells lie in the KV cache depends on its company, and with it the order of attention's sums
  for (let i = 0; i < mapA.length; i++) {
    mapDifference = Math.max(mapDifference, Math.abs(mapA[i] - mapB[i]));
    if (!(Math.abs(mapA[i] - mapB[i]) <= MAP_TOLERANCE)) return false;
  }
  return true;
}

/**
 * For each call, how many turns of its client may and how many must come before its last one. Calls with a code may end without
 * a turn; a session takes one to open and two for its questions.
 */
function turnsBefore(calls) {
  const lines = new Map();
  return calls.map(({ client, code, kind }) => {
    const line = lines.get(client) ?? { most: 0, least: 0 };
    const turns = { most: line.most + (kind === "session" ? 2 : 0), least: line.least };
    lines.set(client, { most: line.most + 1, least: line.least + (code ? 0 : 1) });
    return turns;
  });
}

/** Starts a call and follows it to its end. */
function start(model, { call, after }, begun, onEnd) {
  const controller = new AbortController();
  const reason = new Error("enough");
  if (after === -1) controller.abort(reason);
  const timer = after >= 0 ? setTimeout(() => controller.abort(reason), after) : undefined;
  const entry = { settled: 0, reason, begun: performance.now() };
  const settle = (outcome) => {
    clearTimeout(timer);
    entry.settled++;
    Object.assign(entry, outcome, { ms: performance.now() - entry.begun });
    onEnd(entry);
  };
  call(model, controller.signal).then((value) => settle({ value }), (error) => settle({ error }));
  begun.push(entry);
}

async function main() {
  const next = random(options.seed);
  next.seed = 77;
  const pictures = [];
  for (const { image: path } of questions.slice(0, 12)) {
    const bytes = readFileSync(path);
    const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    pictures.push({ path, bytes, raw: { data, width: info.width, height: info.height, channels: 3 } });
  }
  const calls = Array.from({ length: options.calls }, () => makeCall(next, pictures));
  const turns = turnsBefore(calls);
  const model = await loadModel({ parallel: options.parallel });

  // each good call alone
  const alone = [];
  for (const { call, code } of calls) {
    alone.push(code ? null : await call(model, undefined));
  }
  let memory;
  let worst = 0;
  for (let round = 0; round < options.rounds; round++) {
    const entries = [];
    let ends = 0;
    for (const each of calls) start(model, each, entries, (entry) => (entry.end = ends++));
    const until = performance.now() + 600_000;
    while (ends < calls.length && performance.now() < until) await sleep(20);
    await sleep(200); // whatever would settle twice does it now

    entries.forEach((entry, i) => {
      const { kind, code } = calls[i];
      const name = `round ${round}, call ${i} (${kind})`;
      report.try(kind);
      if (!report.check(entry.settled === 1, `${name} settled ${entry.settled} times`)) return;
      const got = entry.error?.code;
      if (code === "ABORTED") {
        // it may have ended before the abort
        report.check(entry.value || (got === "ABORTED" && entry.error.name === "AbortError" && entry.error.cause === entry.reason), `${name} ended with ${entry.error}`);
      } else if (code) {
        report.check(got === code, `${name} ended with ${entry.error ?? "a result"}`);
      } else {
        report.check(entry.value && same(entry.value, alone[i]), `${name} gave ${JSON.stringify(entry.value ?? String(entry.error))} but alone ${JSON.stringify(alone[i])}`.slice(0, 600));
      }
    });
    entries.forEach((entry, i) => {
      if (!entry.value) return;
      const overtaken = entries.filter((other, j) => other.value && turns[j].least > turns[i].most && other.end < entry.end).length;
      worst = Math.max(worst, overtaken);
    });
    const after = await residentMB();
    if (round <= Math.max(0, Math.min(1, options.rounds - 2))) memory = after; // the first round is warm-up where there are more than two
    else report.check(after < memory * 1.1 + 20, `memory grew from ${memory.toFixed(0)} to ${after.toFixed(0)} MB`);
    if (round === options.rounds - 1) memory = `${memory.toFixed(0)} MB after the ${options.rounds > 2 ? "second" : "first"} round, ${after.toFixed(0)} MB after the last`;
  }
  report.check(worst <= OVERTAKEN, `a call was overtaken by ${worst} of later turns`);
  await model.dispose();
  report.end({ memory, "largest difference of a map": mapDifference.toExponential(1), overtaken: `at most ${worst} calls of later turns were done before one (limit ${OVERTAKEN})` });
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
