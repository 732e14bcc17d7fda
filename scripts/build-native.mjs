// Builds llama.cpp, the native core, its tests and the addon: build/Release/sd_rpn.node.
//
//   SD_RPN_CUDA=1            with the NVIDIA backend (needs the CUDA toolkit)
//   SD_RPN_BUILD_TYPE=Debug  another CMake build type than Release
//   SD_RPN_PORTABLE=1        for any CPU of the architecture, not just this machine's (prebuilt binaries)
//   SD_RPN_SANITIZED_TESTS=1 with the native tests once more, our own core under sanitizers (GCC, Clang)
//   SD_RPN_LLAMA_CPP=/dir    llama.cpp from a checkout (see llama-source.mjs)
//
// `--gyp` is for binding.gyp: CMake then works in build/cmake, since node-gyp keeps its own files in build/.
//
// cmake-js composes the configure command (Node-API headers from node-api-headers, so nothing is downloaded: that is
// what `binary.napi_versions` in package.json tells it; Visual Studio and node.lib on Windows). It is run from here,
// because cmake-js can neither suppress the compiler's output nor report progress.
import * as fs from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { BuildError, ROOT, hasProgram, runLogged, runScript, say, tail } from "./common.mjs";
import { LLAMA_DIR, prepareLlamaSource } from "./llama-source.mjs";
import { preflight } from "./preflight.mjs";

const LLAMA_VERSION = "v0.5.0";
const BUILD_TYPES = ["Release", "RelWithDebInfo", "MinSizeRel", "Debug"];
const PROGRESS_SECONDS = 15;

// measured: all of it takes 3.5 minutes of one core's time (the CUDA kernels about an hour)
const CPU_MINUTES = 4;
const CUDA_MINUTES = 60;

const ADDON = join(ROOT, "build", "Release", "sd_rpn.node");

/** Builds all that is not up to date. */
export async function buildNative({ gyp = false } = {}) {
  const type = process.env.SD_RPN_BUILD_TYPE || "Release";
  if (!BUILD_TYPES.includes(type)) throw new BuildError(`expected SD_RPN_BUILD_TYPE to be one of ${BUILD_TYPES.join(", ")} but it is ${type}`);
  preflight();
  await prepareLlamaSource();

  const dir = join(ROOT, "build", gyp ? "cmake" : "");
  const logFile = join(dir, "sd-rpn-build.log");
  dropForeignCache(dir);
  fs.mkdirSync(dir, { recursive: true });
  fs.rmSync(logFile, { force: true });

  await configure(dir, type, logFile, gyp);
  await compile(dir, type, logFile);
  if (!fs.existsSync(ADDON)) throw new BuildError(`the build succeeded but ${relative(ROOT, ADDON)} does not exist: remove build/ and run \`npm run build\` again`);
  say(`${relative(ROOT, ADDON)} is up to date`);
}

/** CMake refuses a build folder that was made for another place, as in a copied or moved clone. */
function dropForeignCache(dir) {
  const home = cached(dir, "CMAKE_HOME_DIRECTORY");
  if (home && fs.existsSync(home) && fs.realpathSync(home) === fs.realpathSync(ROOT)) return;
  if (!home) return;
  say("build/ was made in another folder: starting afresh");
  fs.rmSync(dir, { recursive: true, force: true });
}

function cached(dir, name) {
  const file = join(dir, "CMakeCache.txt");
  if (!fs.existsSync(file)) return null;
  return new RegExp(`^${name}:\\w+=(.*)$`, "m").exec(fs.readFileSync(file, "utf8"))?.[1] ?? null;
}

async function configure(dir, type, logFile, gyp) {
  const { default: cmakeJs } = await import("cmake-js").catch(() => {
    throw new BuildError("cmake-js is not installed: run `npm ci`");
  });
  const onOff = (value) => (value ? "ON" : "OFF");
  const flag = (name) => !["", "0"].includes(process.env[name] ?? "");
  const system = new cmakeJs.BuildSystem({
    directory: ROOT,
    out: dir,
    config: type,
    // a build folder keeps the generator it was made with
    generator: cached(dir, "CMAKE_GENERATOR") ?? undefined,
    noLog: true,
    cMakeOptions: {
      SD_RPN_LLAMA_DIR: LLAMA_DIR.replaceAll("\\", "/"),
      SD_RPN_ADDON: "ON",
      SD_RPN_TESTS: onOff(!gyp),
      SD_RPN_CUDA: onOff(flag("SD_RPN_CUDA")),
      SD_RPN_SANITIZED_TESTS: onOff(flag("SD_RPN_SANITIZED_TESTS")),
      SD_RPN_ADDON_DIR: join(ROOT, "build", "Release").replaceAll("\\", "/"),
      GGML_NATIVE: onOff(!flag("SD_RPN_PORTABLE")),
      // ggml would record the commit of the surrounding repository, and be compiled again after each of our commits
      GIT_EXE: "",
      LLAMA_BUILD_COMMIT: LLAMA_VERSION,
      LLAMA_BUILD_NUMBER: "0",
      ...(hasProgram("ccache") ? {} : { GGML_CCACHE: "OFF" }),
    },
  });
  const [command, ...args] = await system.getConfigureCommand();
  const code = await runLogged(command, args, { cwd: dir, logFile });
  if (code !== 0) fail("CMake could not configure the build", logFile);
}

async function compile(dir, type, logFile) {
  const cores = availableParallelism();
  const minutes = Math.ceil((process.env.SD_RPN_CUDA === "1" ? CUDA_MINUTES : CPU_MINUTES) / cores);
  let announced = false;
  let lastTime = Date.now();
  const progress = (line) => {
    // ninja: "[12/340] Building ...", make: "[ 12%] Building ..."
    const match = /^\[\s*(?:(\d+)\/(\d+)|(\d+)%)\]\s+Building/.exec(line);
    if (!match) return;
    if (!announced) {
      say(`compiling llama.cpp and the addon on ${cores} ${cores === 1 ? "core" : "cores"}: about ${minutes} ${minutes === 1 ? "minute" : "minutes"} from scratch, seconds after a small change`);
      announced = true;
    }
    if (Date.now() - lastTime < PROGRESS_SECONDS * 1000) return;
    lastTime = Date.now();
    const percent = match[3] ?? Math.floor((100 * Number(match[1])) / Number(match[2]));
    say(`compiled ${percent}%`);
  };
  const args = ["--build", dir, "--config", type, "--parallel", String(cores)];
  const code = await runLogged("cmake", args, { logFile, onLine: progress });
  if (code !== 0) fail("compiling failed", logFile);
}

function fail(what, logFile) {
  console.error(tail(logFile, 40));
  throw new BuildError(`${what}: the last lines are above, all of them in ${relative(ROOT, logFile)}`);
}

await runScript(import.meta.url, () => buildNative({ gyp: process.argv.includes("--gyp") }));
