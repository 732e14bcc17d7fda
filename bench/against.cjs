// What a change costs that is switched off: public calls on the demo model in this build and in one of another checkout, in turn.
//
//   node bench/against.cjs DIR [--rounds 10]      DIR: a checkout of an older version, built (`npm ci && npm run build`)
//
// Prints the median of the rounds' ratios, this build to the other, with the least and the greatest. A round is two processes, one of each build, whose order
// alternates; each asks the demo's questions four times, decoded pictures and one thread.
const { spawnSync } = require("node:child_process");
const { readFileSync } = require("node:fs");
const { join, resolve } = require("node:path");

const DEMO = join(__dirname, "..", "demo");
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function measure(root) {
  const { loadModel } = require(join(root, "lib", "index.js"));
  const questions = readFileSync(join(DEMO, "questions.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line)).slice(0, 24);
  const model = await loadModel({ threads: 1, sessionCacheBytes: 0 });
  const times = { "first answer": [], "one view": [], "next answer": [], "next region": [] };
  const timed = async (row, work) => {
    const start = performance.now();
    await work();
    times[row].push(performance.now() - start);
  };
  for (let i = 0; i < 4; i++) {
    for (const { image: name, question } of questions) {
      const image = join(DEMO, name);
      await timed("first answer", () => model.answer(image, question));
      await timed("one view", () => model.answer(image, question, { roi: "never" }));
      const session = await model.open(image);
      await session.answer(question);
      await timed("next answer", () => session.answer(question));
      await timed("next region", () => session.predictRoI(question));
      await session.dispose();
    }
  }
  await model.dispose();
  return Object.fromEntries(Object.entries(times).map(([row, values]) => [row, median(values)]));
}

function compare(other, rounds) {
  const ratios = {};
  const run = (root) => JSON.parse(spawnSync(process.execPath, [__filename, "--measure", root], { encoding: "utf8" }).stdout);
  const own = join(__dirname, "..");
  for (let i = 0; i < rounds; i++) {
    const results = {};
    for (const root of i % 2 ? [own, other] : [other, own]) results[root] = run(root);
    for (const [row, ms] of Object.entries(results[own])) (ratios[row] ??= []).push(ms / results[other][row]);
  }
  for (const [row, values] of Object.entries(ratios)) {
    const sorted = [...values].sort((a, b) => a - b);
    console.log(`${row.padEnd(14)} ${median(values).toFixed(3)} (${sorted[0].toFixed(3)} to ${sorted.at(-1).toFixed(3)})`);
  }
}

const [first, second, third] = process.argv.slice(2);
if (first === "--measure") {
  measure(second).then((result) => console.log(JSON.stringify(result)));
} else if (first) {
  compare(resolve(first), second === "--rounds" ? Number(third) : 10);
} else {
  console.error("node bench/against.cjs DIR [--rounds 10]");
  process.exitCode = 2;
}
