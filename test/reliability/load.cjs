// Overlapping calls: every promise settles once, with the result of the same call alone, in a fair order; memory is freed.
//
//   node --expose-gc test/reliability/load.cjs [--calls 200] [--seed 1] [--parallel 1] [--rounds 3] [--pictures 12]
//                                            [--seconds 600] [--break FAULT]
//
// `--pictures`: fewer make longer lines of calls about one, which a small run needs to judge the order by; `--seconds`: a call that
// has not settled by then never does.
const { readFileSync } = require("node:fs");
const sharp = require("sharp");
const { Report, demoQuestions, libraryOf, random, readOptions, residentMB, sleep } = require("./common.cjs");

const options = readOptions({ calls: 200, seed: 1, parallel: 1, rounds: 3, pictures: 12, seconds: 600 });
const { loadModel } = libraryOf("load", options);
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

/** One call of each kind; `call(signal)` starts it. Valid ones resolve to results that must not depend on other calls. */
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
  if (dice < 25) return { kind: `aborted before: ${kind}`, client: image, code: "ABORTED", after: -1, call };
  if (dice < 45) return { kind: `aborted: ${kind}`, client: image, code: "ABORTED", after: next(400), call };
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

/** Starts a call and records how it ends. */
function start(model, { call, after }, begun, onEnd) {
  const controller = new AbortController();
  const reason = new Error("enough");
  if (after === -1) controller.abort(reason);
  const entry = { settled: 0, reason, begun: performance.now() };
  const abort = () => {
    entry.aborted = true;
    controller.abort(reason);
  };
  const timer = after >= 0 ? setTimeout(abort, after) : undefined;
  const settle = (outcome) => {
    clearTimeout(timer);
    entry.settled++;
    Object.assign(entry, outcome, { ms: performance.now() - entry.begun });
    onEnd(entry);
  };
  call(model, controller.signal).then((value) => settle({ value }), (error) => settle({ error }));
  begun.push(entry);
}

/** Waits until `done()`, but only so long that a call which has not settled by then never will. */
async function wait(done) {
  const until = performance.now() + options.seconds * 1000;
  while (!done() && performance.now() < until) await sleep(20);
  return done();
}

async function main() {
  const next = random(options.seed);
  next.seed = 77;
  const pictures = [];
  for (const { image: path } of questions.slice(0, options.pictures)) {
    const bytes = readFileSync(path);
    const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    pictures.push({ path, bytes, raw: { data, width: info.width, height: info.height, channels: 3 } });
  }
  const calls = Array.from({ length: options.calls }, () => makeCall(next, pictures));
  const turns = turnsBefore(calls);
  const model = await loadModel({ parallel: options.parallel });

  // each good call alone
  const alone = [];
  for (const { call, code, kind } of calls) {
    if (code) {
      alone.push(null);
      continue;
    }
    let ended = false;
    const running = call(model, undefined).finally(() => (ended = true));
    if (!(await wait(() => ended))) throw new Error(`${kind} alone never settled`);
    alone.push(await running);
  }
  let memory;
  let worst = 0;
  let behind = 0; // the most calls that could overtake one
  let atWork = 0;
  let told = 0;
  for (let round = 0; round < options.rounds; round++) {
    const entries = [];
    let ends = 0;
    for (const each of calls) start(model, each, entries, (entry) => (entry.end = ends++));
    await wait(() => ends === calls.length);
    await sleep(200); // a promise that would settle twice does so now

    entries.forEach((entry, i) => {
      const { kind, code } = calls[i];
      const name = `round ${round}, call ${i} (${kind})`;
      report.try(kind);
      if (!report.check(entry.settled === 1, `${name} settled ${entry.settled} times`)) return;
      const got = entry.error?.code;
      const isAborted = got === "ABORTED" && entry.error.name === "AbortError" && entry.error.cause === entry.reason;
      if (code === "ABORTED" && calls[i].after >= 0) {
        // it may finish just when it is aborted: how many may is checked below
        atWork += entry.aborted ? 1 : 0;
        told += entry.aborted && isAborted ? 1 : 0;
        report.check(entry.value || isAborted, `${name} ended with ${entry.error}`);
      } else if (code === "ABORTED") {
        report.check(isAborted, `${name} ended with ${entry.error ?? "a result"}`);
      } else if (code) {
        report.check(got === code, `${name} ended with ${entry.error ?? "a result"}`);
      } else {
        report.check(entry.value && same(entry.value, alone[i]), `${name} gave ${JSON.stringify(entry.value ?? String(entry.error))} but alone ${JSON.stringify(alone[i])}`.slice(0, 600));
      }
    });
    entries.forEach((entry, i) => {
      if (!entry.value) return;
      const later = entries.filter((other, j) => other.value && turns[j].least > turns[i].most);
      behind = Math.max(behind, later.length);
      worst = Math.max(worst, later.filter((other) => other.end < entry.end).length);
    });
    const after = await residentMB();
    if (round <= Math.max(0, Math.min(1, options.rounds - 2))) memory = after; // the first round is warm-up where there are more than two
    else report.check(after < memory * 1.1 + 20, `memory grew from ${memory.toFixed(0)} to ${after.toFixed(0)} MB`);
    if (round === options.rounds - 1) memory = `${memory.toFixed(0)} MB after the ${options.rounds > 2 ? "second" : "first"} round, ${after.toFixed(0)} MB after the last`;
  }
  report.check(atWork > 0 && told >= atWork / 2, `${told} of ${atWork} calls aborted at work ended with ABORTED, at least half must`);
  report.check(behind > OVERTAKEN, `no call has more than ${behind} of later turns to be overtaken by: more --calls or fewer --pictures`);
  report.check(options.rounds > 1, "memory is compared from round to round: --rounds 2 at least");
  report.check(worst <= OVERTAKEN, `a call was overtaken by ${worst} of later turns`);
  await model.dispose();
  report.end({ memory, "largest difference of a map": mapDifference.toExponential(1), overtaken: `at most ${worst} calls of later turns were done before one (limit ${OVERTAKEN})` });
}

main().catch((error) => {
  report.fail(`the suite ended with ${error?.stack ?? error}`);
  report.end();
});
