// `npm run test:sanitize -- KIND`: builds everything, llama.cpp included, under the sanitizers of a compiler and runs tests there.
//
//   address  AddressSanitizer and UndefinedBehaviorSanitizer with GCC: ctest (LeakSanitizer too), then the addon in Node: API,
//            damaged files, overlapping calls. Node frees little when it ends, so leaks are looked for in ctest alone.
//   thread   ThreadSanitizer with GCC: the native tests that start threads, then overlapping calls, aborts and early ends in Node
//   fuzz     libFuzzer with Clang on the native readers of file headers; --minutes 10
//
//   --tests REGEX  only these native tests, and nothing in Node
//
// Each has a build folder of its own, build/sanitize-KIND. A report of a sanitizer ends its test, which counts as failed.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { buildTypeScript } from "./build-ts.mjs";
import { BuildError, ROOT, hasProgram, runLogged, runScript, say, tail } from "./common.mjs";
import { LLAMA_DIR, prepareLlamaSource } from "./llama-source.mjs";

const JEST = ["node_modules/jest/bin/jest.js", "--runInBand", "--testTimeout", "600000"];
const suite = (name, ...args) => ["--expose-gc", `test/reliability/${name}.cjs`, ...args];

const KINDS = {
  address: {
    sanitizers: "address,undefined",
    runtimes: ["libasan.so", "libubsan.so"],
    environment: { UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1" },
    nodeEnvironment: { ASAN_OPTIONS: "detect_leaks=0" },
    tests: ".",
    node: [
      [...JEST, "test/api", "test/errors", "test/parity"],
      suite("load", "--calls", "40", "--pictures", "3", "--rounds", "2"),
      suite("abort", "--aborts", "90"),
      suite("lifecycle", "--every", "19"),
    ],
  },
  thread: {
    sanitizers: "thread",
    runtimes: ["libtsan.so"],
    environment: { TSAN_OPTIONS: "halt_on_error=1" },
    // Node itself is not instrumented, so races between its own threads cannot be judged
    nodeEnvironment: { TSAN_OPTIONS: "halt_on_error=1:ignore_noninstrumented_modules=1" },
    tests: "threads|session|flash|text-stream",
    node: [
      suite("load", "--calls", "40", "--pictures", "3", "--rounds", "2"),
      suite("abort", "--aborts", "90"),
      suite("lifecycle", "--every", "37"),
    ],
  },
};

/** Configures and compiles; returns the build folder. */
async function build(kind, options, compilers) {
  for (const program of [...compilers, "cmake", "ninja"]) {
    if (!hasProgram(program)) throw new BuildError(`${program} is missing: install it with your package manager`);
  }
  await prepareLlamaSource();
  const dir = join(ROOT, "build", `sanitize-${kind}`);
  const logFile = join(dir, "build.log");
  fs.mkdirSync(dir, { recursive: true });
  fs.rmSync(logFile, { force: true });
  // -O1 and no asserts: what users run, with readable stacks
  const flags = { SD_RPN_LLAMA_DIR: LLAMA_DIR, CMAKE_C_COMPILER: compilers[0], CMAKE_CXX_COMPILER: compilers[1], CMAKE_C_FLAGS_RELEASE: "-O1 -DNDEBUG", CMAKE_CXX_FLAGS_RELEASE: "-O1 -DNDEBUG", ...options.flags };
  const configure = ["-S", ROOT, "-B", dir, "-G", "Ninja", ...Object.entries(flags).map(([name, value]) => `-D${name}=${value}`)];
  say(`compiling under ${options.what}: about 20 minutes of one core's time from scratch`);
  for (const args of [configure, ["--build", dir, "--parallel", String(availableParallelism()), ...(options.target ? ["--target", options.target] : [])]]) {
    if ((await runLogged("cmake", args, { logFile })) !== 0) {
      console.error(tail(logFile, 40));
      throw new BuildError(`the build failed: the last lines are above, all of them in ${relative(ROOT, logFile)}`);
    }
  }
  return dir;
}

/** Runs a program with its output shown; true if it ended well. */
function run(command, args, environment) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env: { ...process.env, ...environment } });
  if (error) throw new BuildError(`${command} could not be started: ${error.message}`);
  return status === 0;
}

/** Runs native tests (those that `tests` names, if given) and, without it, the library's; returns { passed, failed }. */
async function sanitize(kind, tests) {
  const { sanitizers, runtimes, environment, nodeEnvironment, ...kindOf } = KINDS[kind];
  const compilers = [process.env.CC || "gcc", process.env.CXX || "g++"]; // other GCCs than the first
  const dir = await build(kind, { what: sanitizers, flags: { SD_RPN_SANITIZE: sanitizers, SD_RPN_ADDON: tests === undefined ? "ON" : "OFF" } }, compilers);
  const total = { passed: 0, failed: 0 };
  const count = (ok) => total[ok ? "passed" : "failed"]++;

  const chosen = tests ?? kindOf.tests;
  const list = spawnSync("ctest", ["--test-dir", dir, "-N", "-R", chosen], { encoding: "utf8" }).stdout ?? "";
  const names = [...list.matchAll(/^\s*Test\s+#\d+: (\S+)/gm)].map((match) => match[1]);
  if (names.length === 0) throw new BuildError(`no native test is called ${chosen}`);
  for (const name of names) count(run("ctest", ["--test-dir", dir, "--output-on-failure", "--timeout", "3600", "-R", `^${name}$`], environment));

  if (tests === undefined) {
    buildTypeScript();
    const preload = runtimes.map((name) => spawnSync(compilers[1], [`-print-file-name=${name}`], { encoding: "utf8" }).stdout.trim()).join(" ");
    const addon = join(dir, "Release", "sd_rpn.node");
    for (const args of kindOf.node) {
      say(`node ${args.join(" ")}`);
      count(run(process.execPath, args, { ...environment, ...nodeEnvironment, LD_PRELOAD: preload, SD_RPN_BINARY: addon }));
    }
  }
  return total;
}

/** A corpus to begin with: the first byte picks the reader (native/test/fuzz/fuzz-headers.cpp). */
function writeCorpus(dir) {
  fs.mkdirSync(dir, { recursive: true });
  const files = ["demo/pico-llava-f16.gguf", "demo/pico-rpn-f16.gguf", "demo/pico-mmproj-f16.gguf", "test/fixtures/golden/rpn/llava-bf16/model.safetensors"];
  files.forEach((file, i) => {
    const start = fs.readFileSync(join(ROOT, file)).subarray(0, 60_000);
    for (const reader of [i, i + 4]) fs.writeFileSync(join(dir, `${i}-${reader}`), Buffer.concat([Buffer.from([reader]), start]));
  });
}

async function fuzz(minutes) {
  const dir = await build("fuzz", { what: "libFuzzer, address and undefined", target: "fuzz-headers", flags: { SD_RPN_SANITIZE: "address,undefined", SD_RPN_FUZZ: "ON", SD_RPN_ADDON: "OFF" } }, ["clang", "clang++"]);
  const corpus = join(dir, "corpus");
  writeCorpus(corpus);
  const target = join(dir, "native", "test", "fuzz", "fuzz-headers");
  const args = [`-max_total_time=${Math.round(60 * minutes)}`, "-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", `-artifact_prefix=${dir}/`, corpus];
  const ok = run(target, args, KINDS.address.environment);
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
}

await runScript(import.meta.url, async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { tests: { type: "string" }, minutes: { type: "string", default: "10" } } });
  const [kind] = positionals;
  const minutes = Number(values.minutes);
  if (positionals.length !== 1 || ![...Object.keys(KINDS), "fuzz"].includes(kind)) throw new BuildError("expected address, thread or fuzz: `npm run test:sanitize -- address`");
  if (!(minutes > 0)) throw new BuildError(`expected --minutes above 0 but received ${values.minutes}`);
  const { passed, failed } = kind === "fuzz" ? await fuzz(minutes) : await sanitize(kind, values.tests);
  console.log(`${kind}: ${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
});
