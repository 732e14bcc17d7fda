// Mixed work for a long time, then models loaded and disposed many times: memory, handles and files stay flat.
//
//   node --expose-gc test/reliability/soak.cjs [--minutes 30] [--cycles 200] [--seed 1] [--limit 1] [--break FAULT]
//
// `--limit`: MB that 100 calls or loads may leave. In half a minute the warm-up does not end, so `npm test` allows 15: calls that
// kept view and features of their pictures would leave 20, models 1,000 and more.
const { readdirSync, readFileSync } = require("node:fs");
const { Report, demoQuestions, libraryOf, random, readOptions, residentMB, sleep } = require("./common.cjs");

const options = readOptions({ minutes: 30, cycles: 200, seed: 1, limit: 1 });
const { loadModel } = libraryOf("soak", options);
const report = new Report("soak");
const questions = demoQuestions();

/** The fewest measurements that a trend is read from. */
const POINTS = 6;

/** Calls before the first measurement: buffers, arenas and compiled code reach their final size. */
const WARM_CALLS = 100;

/** Open files and threads of this process, where the system tells. */
function handles() {
  try {
    return readdirSync("/proc/self/fd").length + readdirSync("/proc/self/task").length;
  } catch {
    return process.getActiveResourcesInfo().length;
  }
}

/** Least squares over [step, MB]: MB per 100 steps, and its standard error, which is what a short run is to be judged by. */
function slope(points) {
  const n = points.length;
  const x = points.reduce((sum, [at]) => sum + at, 0) / n;
  const y = points.reduce((sum, [, mb]) => sum + mb, 0) / n;
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  const rise = points.reduce((sum, [at, mb]) => sum + (at - x) * (mb - y), 0) / spread;
  const residual = points.reduce((sum, [at, mb]) => sum + (mb - y - rise * (at - x)) ** 2, 0);
  return { rise: 100 * rise, error: 100 * Math.sqrt(residual / (n - 2) / spread) };
}

/** Checks that memory rises by less than the limit per 100 steps, as far as the points show; returns the trend. */
function flat(points, steps) {
  if (!report.check(points.length >= POINTS, `${points.length} points are too few to judge memory by: more --minutes or --cycles`)) return "";
  const { rise, error } = slope(points);
  const text = `${rise.toFixed(2)} MB (standard error ${error.toFixed(2)})`;
  report.check(rise - 2 * error < options.limit, `resident memory grows by ${text} per 100 ${steps}`);
  return text;
}

async function mixed() {
  const next = random(options.seed);
  const shared = new AbortController(); // one signal for all calls, as a service's shutdown has it
  const model = await loadModel({ parallel: 2, sessionCacheBytes: 4e6 });
  const until = performance.now() + options.minutes * 60_000;
  const points = [];
  let calls = 0;
  let open = 0;
  const aborted = { tried: 0, told: 0 };
  const abort = async (image, question) => {
    const signal = AbortSignal.timeout(1 + next(60));
    const error = await model.answer(image, question, { signal }).then(() => undefined, (reason) => reason);
    if (!signal.aborted) return; // it had finished before the abort
    aborted.tried++;
    aborted.told += error ? 1 : 0; // it may finish just when it is aborted: how many may is checked below
    report.check(!error || error.code === "ABORTED", `${error}`);
  };
  while (performance.now() < until || points.length < POINTS) { // on a busy machine a short time has few batches
    const batch = Array.from({ length: 10 }, async () => {
      const { image, question } = questions[next(questions.length)];
      const kind = next(8);
      report.try(["answer", "answer", "predictRoI", "bytes", "aborted", "bad input", "session", "stream left"][kind]);
      if (kind < 2) return model.answer(image, question, { signal: shared.signal });
      if (kind === 2) return model.predictRoI(image, question, { signal: shared.signal });
      if (kind === 3) return model.encodeImage(readFileSync(image));
      if (kind === 4) return abort(image, question);
      if (kind === 5) return model.answer(Buffer.from("no picture"), question).then(() => report.fail("bad bytes were answered"), (error) => report.check(error.code === "IMAGE_INVALID", `${error}`));
      if (kind === 6) {
        const session = await model.open(image);
        await session.answer(question);
        return session.dispose();
      }
      for await (const event of model.answerStream(image, question)) if (event.type === "text") break;
    });
    for (const { status, reason } of await Promise.allSettled(batch)) report.check(status === "fulfilled", `${reason?.stack}`);
    calls += batch.length;
    // warm-up: a fifth of the time, and on a busy machine some calls
    if (calls >= WARM_CALLS && performance.now() > until - 0.8 * options.minutes * 60_000) {
      points.push([calls, await residentMB()]);
      if (points.length === 1) open = handles();
    }
  }
  const last = handles();
  await model.dispose();
  const growth = flat(points, "calls");
  report.check(aborted.tried > 0 && aborted.told >= aborted.tried / 2, `${aborted.told} of ${aborted.tried} aborted calls ended with ABORTED, at least half must`);
  report.check(last <= open + 2, `handles went from ${open} to ${last}`);
  return { calls, "memory per 100 calls": growth, "resident, first and last": points.length ? `${points[0][1].toFixed(0)} and ${points.at(-1)[1].toFixed(0)} MB` : "", "handles, first and last": `${open} and ${last}` };
}

async function cycles() {
  const points = [];
  let open = 0;
  const warm = Math.min(20, options.cycles >> 1);
  const every = options.cycles < 100 ? 2 : 5;
  for (let i = 0; i < options.cycles; i++) {
    const model = await loadModel();
    const { image, question } = questions[i % questions.length];
    if (i % 5 === 0) await model.answer(image, question, { maxTokens: 4 });
    await model.dispose();
    report.try("load and dispose");
    if (i < warm) continue;
    if (i === warm) open = handles();
    if (i % every === 0) points.push([i, await residentMB()]);
  }
  const last = handles();
  report.check(last <= open + 2, `handles went from ${open} to ${last}`);
  return { "memory per 100 loads": flat(points, "loads") };
}

async function main() {
  const facts = options.minutes > 0 ? await mixed() : {};
  await sleep(50);
  report.end({ ...facts, ...(options.cycles > 0 ? await cycles() : {}) });
}

main().catch((error) => {
  report.fail(`the suite ended with ${error?.stack ?? error}`);
  report.end();
});
