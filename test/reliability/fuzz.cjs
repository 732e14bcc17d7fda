// Damaged files, grammars, JSON schemas and histories, files of questions and of answers, folders of models: each either gives a typed error or works, within 10 s and 2 GB, and never ends its process.
//
//   node test/reliability/fuzz.cjs [--gguf 1100] [--images 500] [--pdfs 500] [--checkpoints 500] [--indexes 500] [--tokenizers 500] [--configs 500] [--labels 500] [--heads 500] [--grammars 500] [--schemas 500] [--histories 500] [--questions 500] [--answers 500] [--folders 500] [--first 0] [--jobs 2] [--kind KIND]
//                                    [--seconds 10] [--megabytes 2000] [--break FAULT]
//
// `--gguf` is the number of files of each of the three kinds (model, mmproj, rpn). A file is known by its kind and seed:
// `--kind mmproj --first 123 --gguf 1` opens one again. Children open many files each; one that ends or hangs is
// attributed to the file it was opening, and another child continues with the next. Each child opens the file without damage first: it must
// work, and of the damaged ones some must be refused, or the suite has read nothing.
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { createInterface } = require("node:readline");
const { Report, readOptions } = require("./common.cjs");

const CHUNK = 50;

const options = readOptions({ gguf: 1100, images: 500, pdfs: 500, checkpoints: 500, indexes: 500, tokenizers: 500, configs: 500, labels: 500, heads: 500, grammars: 500, schemas: 500, histories: 500, questions: 500, answers: 500, folders: 500, first: 0, jobs: 2, kind: "", seconds: 10, megabytes: 2000 });
const report = new Report("fuzz");
const outcomes = {};
let mostMB = 0;
let slowest = 0;

/** Runs one child over seeds; resolves to the first seed that it did not reach. */
function runChild(kind, first, count, folder) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(__dirname, "fuzz-child.cjs"), kind, String(first), String(count), folder, options.break], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    let open = null; // { seed, what, begun }
    let seed = first;
    let full = false;
    child.stderr.on("data", (data) => (stderr += data));
    const watch = setInterval(() => {
      const seconds = (open?.seed < 0 ? 6 : 1) * options.seconds; // the file without damage also warms the child up
      if (open && performance.now() - open.begun > seconds * 1000) {
        open.hung = true;
        child.kill("SIGKILL");
      }
    }, 200);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const begin = /^begin (-?\d+) (.*)$/.exec(line);
      if (begin) open = { seed: Number(begin[1]), what: JSON.parse(begin[2]), begun: performance.now() };
      const end = /^end (-?\d+) (".*") (\d+)$/.exec(line);
      if (!end) return;
      const outcome = JSON.parse(end[2]);
      const megabytes = Number(end[3]);
      const name = `${kind} seed ${open.seed} (${open.what})`;
      const intact = open.seed < 0;
      if (intact) {
        report.check(outcome === "works", `${kind} without damage: ${outcome}`);
      } else {
        report.try(kind);
        const counts = (outcomes[kind] ??= {});
        counts[outcome] = (counts[outcome] ?? 0) + 1;
        report.check(!outcome.startsWith("untyped"), `${name}: ${outcome}`);
        seed = open.seed + 1;
      }
      slowest = Math.max(slowest, performance.now() - open.begun);
      mostMB = Math.max(mostMB, megabytes);
      report.check(megabytes < options.megabytes, `${name}: ${megabytes} MB`);
      open = null;
      if (megabytes >= options.megabytes) { // so that the next file's memory is its own
        full = true;
        child.kill();
      }
    });
    child.on("close", (code, signal) => {
      clearInterval(watch);
      const how = `code ${code}, signal ${signal} ${stderr.slice(0, 400)}`;
      if (open && !full) {
        if (open.seed >= 0) report.try(kind);
        report.fail(`${kind} seed ${open.seed} (${open.what}): ${open.hung ? `more than ${options.seconds} s` : how}`);
        // without damage none works: the next child would not come further
        seed = open.seed < 0 ? first + count : open.seed + 1;
      } else if (!full && (code !== 0 || signal !== null || seed < first + count)) {
        report.fail(`${kind} seeds ${first}..${first + count - 1}: the child ended between files, with ${how}`);
        seed = first + count;
      } else if (full && seed === first) { // the file without damage takes too much
        seed = first + count;
      }
      done(seed);
    });
  });
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), "sd-rpn-fuzz-"));
  const counts = { model: options.gguf, mmproj: options.gguf, rpn: options.gguf, image: options.images, pdf: options.pdfs, checkpoint: options.checkpoints, index: options.indexes, tokenizer: options.tokenizers, config: options.configs, label: options.labels, heads: options.heads, grammar: options.grammars, schema: options.schemas, history: options.histories, question: options.questions, answer: options.answers, folder: options.folders };
  const chunks = [];
  for (const [kind, count] of Object.entries(counts)) {
    if (options.kind && kind !== options.kind) continue;
    for (let at = 0; at < count; at += CHUNK) chunks.push([kind, options.first + at, Math.min(CHUNK, count - at)]);
  }
  const lanes = Array.from({ length: options.jobs }, async () => {
    for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) {
      const [kind, first, count] = chunk;
      for (let seed = first; seed < first + count;) seed = await runChild(kind, seed, first + count - seed, folder);
    }
  });
  await Promise.all(lanes);
  rmSync(folder, { recursive: true, force: true });
  // one damaged copy may work, but not all of twenty
  for (const [kind, counts] of Object.entries(outcomes)) {
    const works = counts.works ?? 0;
    const all = Object.values(counts).reduce((a, b) => a + b, 0);
    report.check(works < all || all < 20, `${kind}: no damaged file was refused`);
  }
  report.end({ ...outcomes, "most memory": `${mostMB} MB`, "slowest": `${(slowest / 1000).toFixed(1)} s` });
}

main().catch((error) => {
  report.fail(`the suite ended with ${error?.stack ?? error}`);
  report.end();
});
