// Shared by the reliability suites: options from the command line, numbers from a seed, the demo's questions, the report.
const { readFileSync } = require("node:fs");
const { join, resolve } = require("node:path");
const { parseArgs } = require("node:util");

const ROOT = resolve(__dirname, "..", "..");

/** `--name 5` for each of `given`; a default's type is the option's. `--break` and `--threads` are options of every suite: see `libraryOf`. */
function readOptions(given) {
  const defaults = { break: "", threads: 0, ...given };
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" }]));
  const { values } = parseArgs({ options });
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => {
      const text = values[name];
      if (text === undefined) return [name, value];
      if (typeof value !== "number") return [name, text];
      if (!Number.isFinite(Number(text))) throw new Error(`expected a number for --${name} but received ${text}`);
      return [name, Number(text)];
    }),
  );
}

/**
 * The library that a suite tests: the built one, or, where `--break` names faults of faults/SUITE.cjs (several with a semicolon
 * between), one that breaks the suite's promise in these ways. The suite must then fail, which suites.test.ts sees to. `--threads`:
 * of each model, 0 being the library's choice.
 */
function libraryOf(suite, options) {
  const lib = require("../../lib/index.js");
  const threads = options.threads || undefined;
  const given = { ...lib, loadModel: (of) => lib.loadModel({ threads, ...of }) };
  return faultsOf(suite, options.break).reduce((broken, fault) => fault.make(broken), given);
}

/** The faults that a text for `--break` names. */
function faultsOf(suite, text) {
  const faults = require(`./faults/${suite}.cjs`);
  return text.split(";").map((name) => name.trim()).filter((name) => name !== "").map((name) => {
    if (!Object.hasOwn(faults, name)) throw new Error(`expected one of ${Object.keys(faults).join("; ")} for --break but received ${name}`);
    return faults[name];
  });
}

/** A function that gives integers from 0 to below its argument, the same for the same seed. */
function random(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** The demo's questions, `image` being an absolute path. */
function demoQuestions() {
  const lines = readFileSync(join(ROOT, "demo", "questions.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line)).map((q) => ({ ...q, image: join(ROOT, "demo", q.image) }));
}

/** Loads the demo model with another file in one role ("model", "mmproj" or "rpn") and asks it something. */
async function tryFile(role, path) {
  const { demoModel, loadModel } = require("../../lib/index.js");
  const model = await loadModel({ ...demoModel(), [role]: path, threads: 1 });
  try {
    const side = model.info.imageSize;
    const image = { data: new Uint8Array(side * side * 3).fill(99), width: side, height: side, channels: 3 };
    await model.answer(image, "What is it?", { roi: "always", maxTokens: 2 });
  } finally {
    await model.dispose();
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Resident memory in MB after garbage collection; needs --expose-gc. */
async function residentMB() {
  for (let i = 0; i < 3; i++) {
    global.gc();
    await sleep(20);
  }
  return process.memoryUsage.rss() / 1e6;
}

/** Counts checks and failures; `end` prints both and sets the exit code. A suite without any check has failed. */
class Report {
  constructor(suite) {
    this.suite = suite;
    this.tried = {};
    this.failures = [];
    this.start = performance.now();
  }

  try(what, count = 1) {
    this.tried[what] = (this.tried[what] ?? 0) + count;
  }

  fail(what) {
    this.failures.push(what);
  }

  check(good, what) {
    if (!good) this.fail(what);
    return good;
  }

  end(facts = {}) {
    const total = Object.values(this.tried).reduce((a, b) => a + b, 0);
    this.check(total > 0, "nothing was tried: see the options");
    console.log(`${this.suite}: tried ${total}`);
    for (const [what, count] of Object.entries(this.tried)) console.log(`  ${String(count).padStart(6)}  ${what}`);
    for (const [name, value] of Object.entries(facts)) console.log(`  ${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
    for (const what of this.failures.slice(0, 100)) console.log(`  FAILED ${what}`);
    if (this.failures.length > 100) console.log(`  ... and ${this.failures.length - 100} more`);
    const seconds = ((performance.now() - this.start) / 1000).toFixed(1);
    console.log(`${this.suite}: ${total} tried, ${this.failures.length} failed, ${seconds} s`);
    process.exitCode = this.failures.length > 0 ? 1 : 0;
  }
}

module.exports = { ROOT, Report, demoQuestions, faultsOf, libraryOf, random, readOptions, residentMB, sleep, tryFile };
