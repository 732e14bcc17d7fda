#!/usr/bin/env node
// The proof of self-distillation on the demo model, all from scratch: heads -> labels -> training -> evaluation.
//
//   npm run bench:distill -- [--data DIR] [--out DIR] [--pairs n] [--epochs n] [--batch-size n] [--learning-rate r]
//                            [--rpn FILE] [--speed-model F --speed-mmproj F --speed-rpn F] [--speed-only]
//
// DIR (default demo/data, which demo/make-data.py draws) holds distill/questions.jsonl, pictures with questions and nothing else, and
// eval/questions.jsonl with answers and boxes. --rpn skips to the evaluation with a network that is there. The files come to --out
// (default bench/out/distill): heads.json, labels.jsonl, rpn.gguf, curve.png, report.json, report.md.
//
// The time from a question to its region on an open image is measured too: on this model, and with --speed-* on another.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { demoModel, distill, loadModel } from "sd-rpn";
import { evaluate } from "./distill-eval.mjs";
import { measureSpeed } from "./distill-speed.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const text = (value) => ({ type: "string", default: value });
const { values } = parseArgs({
  options: {
    data: text(join(ROOT, "demo", "data")),
    out: text(join(ROOT, "bench", "out", "distill")),
    pairs: text("10000"),
    epochs: text("2"),
    "batch-size": text("16"),
    "learning-rate": text("0.0003"),
    limit: { type: "string" },
    rpn: { type: "string" },
    "speed-model": { type: "string" },
    "speed-mmproj": { type: "string" },
    "speed-rpn": { type: "string" },
    "speed-only": { type: "boolean", default: false },
  },
});

const { model, mmproj } = demoModel();
const base = { model, mmproj };
const minutes = {};
const say = (line) => process.stderr.write(`${line}\n`);
const file = (name) => join(values.out, name);

async function timed(name, work) {
  const start = performance.now();
  say(`${name} ...`);
  const result = await work();
  minutes[name] = (performance.now() - start) / 60000;
  say(`${name}: ${minutes[name].toFixed(1)} min`);
  return result;
}

/** Heads, labels and network, from pictures and questions alone. */
async function distillNetwork() {
  const all = readFileSync(join(values.data, "distill", "questions.jsonl"), "utf8").trim().split("\n");
  const data = file("pairs.jsonl");
  writeFileSync(data, `${all.slice(0, Number(values.pairs)).join("\n")}\n`);
  const images = join(values.data, "distill");
  const labels = file("labels.jsonl");
  const rpn = file("rpn.gguf");
  for (const old of [labels, rpn, `${rpn}.checkpoint`]) rmSync(old, { force: true }); // from scratch

  const loaded = await loadModel(base);
  const ranking = await timed("heads", () => distill.heads(loaded, data, { images }));
  writeFileSync(file("heads.json"), JSON.stringify(ranking, null, 1));
  say(`  grounding ${JSON.stringify(ranking.chosen.grounding)}, sink ${JSON.stringify(ranking.chosen.sink)}`);
  const counts = await timed("labels", () => distill.labelFile(loaded, { data, images, out: labels, heads: ranking.chosen }));
  say(`  ${counts.kept} to learn from, ${counts.ignored} that tell nothing, ${counts.failed} failed`);
  const options = { epochs: Number(values.epochs), batchSize: Number(values["batch-size"]), learningRate: Number(values["learning-rate"]) };
  const trained = await timed("training", () => distill.train(loaded, { labels, out: rpn, ...options }));
  const held = trained.evaluations.at(-1);
  say(`  ${trained.steps.length} steps, loss ${trained.steps.at(-1).loss.toFixed(4)}; held out: ${held ? `loss ${held.loss.toFixed(4)}, precision ${held.precision.toFixed(3)}, recall ${held.recall.toFixed(3)}` : "none"}`);
  await loaded.dispose();
  return { rpn, heads: ranking.chosen, counts, pairs: trained.pairs, options };
}

mkdirSync(values.out, { recursive: true });
const report = {};
if (!values["speed-only"]) {
  if (!existsSync(join(values.data, "eval", "questions.jsonl"))) {
    say(`There is no data in ${values.data}: draw it with \`python3 demo/make-data.py\`, or name a folder with --data`);
    process.exit(2);
  }
  const heads = () => JSON.parse(readFileSync(file("heads.json"), "utf8")).chosen;
  const distilled = values.rpn ? { rpn: values.rpn, heads: heads() } : await distillNetwork();
  Object.assign(report, distilled);
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  report.evaluation = await timed("evaluation", () => evaluate({ ...base, rpn: distilled.rpn }, distilled.heads, join(values.data, "eval"), limit));
  console.log(report.evaluation.table);
  report.speed = await measureSpeed({ ...base, rpn: distilled.rpn }, distilled.heads);
  console.log(report.speed.line);
}
if (values["speed-model"]) {
  const files = { model: values["speed-model"], mmproj: values["speed-mmproj"], rpn: values["speed-rpn"] };
  report.otherSpeed = await measureSpeed(files);
  console.log(report.otherSpeed.line);
}
report.minutes = minutes;
const total = Object.values(minutes).reduce((a, b) => a + b, 0);
console.log(`\n${Object.entries(minutes).map(([name, value]) => `${name} ${value.toFixed(1)}`).join(", ")}, together ${total.toFixed(1)} minutes`);
writeFileSync(file("report.json"), JSON.stringify(report, null, 1));

const checks = report.evaluation?.checks ?? [];
for (const { name, passed } of checks) console.log(`${passed ? "passed" : "FAILED"}: ${name}`);
if (checks.some(({ passed }) => !passed)) process.exitCode = 1;
