// Mixed work for a long time, then models loaded and disposed many times: memory, handles and files stay flat.
//
//   node --expose-gc test/reliability/soak.cjs [--minutes 30] [--cycles 200] [--seed 1]
const { readdirSync, readFileSync } = require("node:fs");
const { loadModel } = require("../../lib/index.js");
const { Report, demoQuestions, random, readOptions, residentMB, sleep } = require("./common.cjs");

const options = readOptions({ minutes: 30, cycles: 200, seed: 1 });
const report = new Report("soak");
const questions = demoQuestions();

/** Open files and threads of this process, where the system tells. */
function handles() {
  try {
    return readdirSync("/proc/self/fd").length + readdirSync("/proc/self/task").length;
  } catch {
    return process.getActiveResourcesInfo().length;
  }
}

/** Least squares: MB per 100 steps. */
function slope(points) {
  const n = points.length;
  const x = points.reduce((sum, [at]) => sum + at, 0) / n;
  const y = points.reduce((sum, [, mb]) => sum + mb, 0) / n;
  const over = points.reduce((sum, [at, mb]) => sum + (at - x) * (mb - y), 0);
  return (100 * over) / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}

async function mixed() {
  const next = random(options.seed);
  const shared = new AbortController(); // one signal for all calls, as a service's shutdown has it
  const model = await loadModel({ parallel: 2, sessionCacheBytes: 4e6 });
  const until = performance.now() + options.minutes * 60_000;
  const points = [];
  let calls = 0;
  let open = 0;
  while (performance.now() < until) {
    const batch = Array.from({ length: 10 }, async () => {
      const { image, question } = questions[next(questions.length)];
      const kind = next(8);
      report.try(["answer", "answer", "predictRoI", "bytes", "aborted", "bad input", "session", "stream left"][kind]);
      if (kind < 2) return model.answer(image, question, { signal: shared.signal });
      if (kind === 2) return model.predictRoI(image, question, { signal: shared.signal });
      if (kind === 3) return model.encodeImage(readFileSync(image));
      if (kind === 4) return model.answer(image, question, { signal: AbortSignal.timeout(1 + next(60)) }).catch((error) => report.check(error.code === "ABORTED", `${error}`));
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
    // warm-up: a fifth of the time
    if (performance.now() > until - 0.8 * options.minutes * 60_000) {
      points.push([calls, await residentMB()]);
      if (points.length === 1) open = handles();
    }
  }
  const last = handles();
  await model.dispose();
  const growth = points.length > 3 ? slope(points) : 0;
  report.check(points.length > 3 && growth < 1, `resident memory grows by ${growth.toFixed(2)} MB per 100 calls (${points.length} points)`);
  report.check(last <= open + 2, `handles went from ${open} to ${last}`);
  return { calls, "memory per 100 calls": `${growth.toFixed(2)} MB`, "resident, first and last": points.length ? `${points[0][1].toFixed(0)} and ${points.at(-1)[1].toFixed(0)} MB` : "", "handles, first and last": `${open} and ${last}` };
}

async function cycles() {
  const points = [];
  let open = 0;
  const warm = Math.min(20, options.cycles >> 1);
  for (let i = 0; i < options.cycles; i++) {
    const model = await loadModel();
    const { image, question } = questions[i % questions.length];
    if (i % 5 === 0) await model.answer(image, question, { maxTokens: 4 });
    await model.dispose();
    report.try("load and dispose");
    if (i < warm) continue;
    if (i === warm) open = handles();
    if (i % 5 === 0) points.push([i, await residentMB()]);
  }
  const last = handles();
  const growth = points.length > 1 ? slope(points) : 0;
  // 1 MB per 100 of mixed calls is the promise; a load is worth ten
  report.check(growth < 10, `resident memory grows by ${growth.toFixed(2)} MB per 100 loads`);
  report.check(last <= open + 2, `handles went from ${open} to ${last}`);
  return { "memory per 100 loads": `${growth.toFixed(2)} MB` };
}

async function main() {
  const facts = options.minutes > 0 ? await mixed() : {};
  await sleep(50);
  report.end({ ...facts, ...(options.cycles > 0 ? await cycles() : {}) });
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
