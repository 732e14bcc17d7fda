// Damaged files: every one ends in a typed error or works, within 10 s and 2 GB, and never takes its process down.
//
//   node test/reliability/fuzz.cjs [--gguf 1100] [--images 500] [--checkpoints 500] [--labels 500] [--first 0] [--jobs 2] [--kind KIND]
//
// `--gguf` is the number of files of each of the three kinds (model, mmproj, rpn). A file is known by its kind and seed:
// `--kind mmproj --first 123 --gguf 1` opens one again. Children open many files each; one that ends or hangs is
// put down to the file it had begun, and another goes on with the next.
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { createInterface } = require("node:readline");
const { Report, readOptions } = require("./common.cjs");

const SECONDS = 10;
const MEGABYTES = 2000;
const CHUNK = 50;

const options = readOptions({ gguf: 1100, images: 500, checkpoints: 500, labels: 500, first: 0, jobs: 2, kind: "" });
const report = new Report("fuzz");
const outcomes = {};
let mostMB = 0;
let slowest = 0;

/** Runs one child over seeds; resolves to the first seed that it did not come to. */
function runChild(kind, first, count, folder) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(__dirname, "fuzz-child.cjs"), kind, String(first), String(count), folder], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    let open = null; // { seed, what, begun }
    let seed = first;
    child.stderr.on("data", (data) => (stderr += data));
    const watch = setInterval(() => {
      if (open && performance.now() - open.begun > SECONDS * 1000) {
        open.hung = true;
        child.kill("SIGKILL");
      }
    }, 200);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const begin = /^begin (\d+) (.*)$/.exec(line);
      if (begin) open = { seed: Number(begin[1]), what: JSON.parse(begin[2]), begun: performance.now() };
      const end = /^end (\d+) (".*") (\d+)$/.exec(line);
      if (!end) return;
      const outcome = JSON.parse(end[2]);
      const name = `${kind} seed ${open.seed} (${open.what})`;
      report.try(kind);
      const counts = (outcomes[kind] ??= {});
      counts[outcome] = (counts[outcome] ?? 0) + 1;
      report.check(!outcome.startsWith("untyped"), `${name}: ${outcome}`);
      slowest = Math.max(slowest, performance.now() - open.begun);
      mostMB = Math.max(mostMB, Number(end[3]));
      report.check(Number(end[3]) < MEGABYTES, `${name}: ${end[3]} MB`);
      seed = open.seed + 1;
      open = null;
      // so that the next file's memory is its own
      if (Number(end[3]) >= MEGABYTES) child.kill();
    });
    child.on("close", (code, signal) => {
      clearInterval(watch);
      if (open) {
        report.try(kind);
        report.fail(`${kind} seed ${open.seed} (${open.what}): ${open.hung ? `more than ${SECONDS} s` : `code ${code}, signal ${signal}`} ${stderr.slice(0, 400)}`);
        seed = open.seed + 1;
      } else if (code !== 0 && signal === null) {
        report.fail(`${kind} seeds ${first}..${first + count - 1}: the child ended with code ${code} ${stderr.slice(0, 600)}`);
        seed = first + count;
      }
      done(seed);
    });
  });
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), "sd-rpn-fuzz-"));
  const counts = { model: options.gguf, mmproj: options.gguf, rpn: options.gguf, image: options.images, checkpoint: options.checkpoints, label: options.labels };
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
  report.end({ ...outcomes, "most memory": `${mostMB} MB`, "slowest": `${(slowest / 1000).toFixed(1)} s` });
}

main();
