// Reproducible numbers: the same calls give the same results in each process, with any number of threads, alone or together.
//
//   node test/reliability/same.cjs [--questions 24] [--threads N] [--break FAULT]
//
// Texts must be equal everywhere, sampled ones with their seed too; features and maps to the last bit where a process repeats
// another, and where threads or company differ within the tolerances below.
const { spawn } = require("node:child_process");
const { availableParallelism } = require("node:os");
const { Report, demoQuestions, libraryOf, readOptions } = require("./common.cjs");

// more threads than cores wait for each other: the numbers are the same, but the suite is slow
const options = readOptions({ questions: 24, threads: Math.min(4, availableParallelism()), child: "" });
const { loadModel } = libraryOf("same", options);

/** Largest difference of a map's probabilities, and of features relative to their greatest value, where threads or company differ. */
const TOLERANCE = { map: 1e-3, features: 1e-4 };

const SEEDS = [1, 2, 3, 4];

/** Runs in a process of its own: all calls, one after the other or at once. */
async function work({ threads, parallel }) {
  const all = demoQuestions();
  const asked = all.filter((_, i) => i % Math.max(1, Math.floor(all.length / options.questions)) === 0).slice(0, options.questions);
  const model = await loadModel({ threads, parallel });
  const one = async ({ image, question }) => {
    const greedy = await model.answer(image, question);
    const sampled = [];
    for (const seed of SEEDS) sampled.push((await model.answer(image, question, { roi: "never", temperature: 2, seed, maxTokens: 8 })).text);
    const { map } = await model.predictRoI(image, question);
    const features = await model.encodeImage(image);
    return { greedy: greedy.text, sampled, map: Array.from(map.data), features: Array.from(features) };
  };
  const results = [];
  if (parallel > 1) results.push(...(await Promise.all(asked.map(one))));
  else for (const each of asked) results.push(await one(each));
  await model.dispose();
  return results;
}

function runChild(config) {
  return new Promise((done, failed) => {
    const args = [__filename, "--questions", String(options.questions), "--break", options.break, "--child", JSON.stringify(config)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.on("close", (code, signal) => {
      let results = [];
      try {
        results = JSON.parse(output);
      } catch {
        // what did not come is told below
      }
      if (code === 0 && signal === null && results.length === options.questions) done(results);
      else failed(new Error(`the process ended with code ${code}, signal ${signal} and gave ${results.length} of ${options.questions} results; ${errors.slice(0, 400)}`));
    });
  });
}

const apart = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), a.length === b.length ? 0 : Infinity);
const greatest = (a) => a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

async function main(report) {
  const configs = [{ threads: 1, parallel: 1 }, { threads: 1, parallel: 1 }];
  for (let threads = 2; threads <= options.threads; threads++) configs.push({ threads, parallel: 1 }, { threads, parallel: 1 });
  configs.push({ threads: 1, parallel: 4 }, { threads: 2, parallel: 4 });
  const firsts = new Map();
  const most = { map: 0, features: 0 };
  let expected;
  for (const config of configs) {
    const got = await runChild(config);
    expected ??= got;
    const name = `${config.threads} threads, parallel ${config.parallel}`;
    const repeats = firsts.get(name);
    firsts.set(name, got);
    got.forEach((each, i) => {
      report.try(`${name}${repeats ? ", again" : ""}`);
      for (const text of ["greedy", "sampled"]) {
        report.check(String(each[text]) === String(expected[i][text]), `${name}, question ${i}, ${text}: ${JSON.stringify(each[text])} instead of ${JSON.stringify(expected[i][text])}`);
      }
      for (const numbers of ["map", "features"]) {
        // JSON has null for NaN and infinities
        if (!report.check(each[numbers].length > 0 && !each[numbers].includes(null), `${name}, question ${i}: ${numbers} has no numbers`)) continue;
        const difference = apart(each[numbers], expected[i][numbers]) / (numbers === "features" ? greatest(expected[i].features) : 1);
        most[numbers] = Math.max(most[numbers], difference);
        report.check(difference <= TOLERANCE[numbers], `${name}, question ${i}: ${numbers} differ by ${difference.toExponential(1)}`);
        if (repeats) {
          const again = apart(each[numbers], repeats[i][numbers]);
          report.check(again === 0, `${name}, question ${i}: ${numbers} of two processes differ by ${again.toExponential(1)}`);
        }
      }
    });
  }
  // otherwise the seed would make no difference
  const different = expected.filter(({ sampled }) => new Set(sampled).size > 1).length;
  report.check(different > 0, `${SEEDS.length} seeds give one text for every question`);
  report.end({ "questions that seeds answer differently": `${different} of ${expected.length}`, "most that threads or company make": `maps ${most.map.toExponential(1)}, features ${most.features.toExponential(1)}` });
}

if (options.child) {
  work(JSON.parse(options.child)).then((results) => process.stdout.write(JSON.stringify(results)), (error) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  const report = new Report("same");
  main(report).catch((error) => {
    report.fail(`the suite ended with ${error?.stack ?? error}`);
    report.end();
  });
}
