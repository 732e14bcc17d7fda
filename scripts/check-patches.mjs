// `npm run patches:check -- DIR`: which of native/patches still fit the llama.cpp tree in DIR, which is only read.
//
// Each patch is tried on top of those before it that fit. Exit code 0: all of them apply as they are, if at other lines.
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { BuildError, hasProgram, runGit, runScript } from "./common.mjs";
import { PATCH_DIR, patchFiles } from "./llama-source.mjs";

/**
 * Tries the patches one by one; returns { name, fits, how } for each. `fits`: the build could apply it.
 *
 * A patch that applies only if less of its context has to match is applied for the sake of those after it, but does not fit.
 */
export function checkPatches(dir, patchDir = PATCH_DIR) {
  const tree = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "sd-rpn-patches-")));
  try {
    return patchFiles(patchDir).map((name) => {
      const patch = join(patchDir, name);
      copyTouched(patch, dir, tree);
      return { name, ...apply(patch, tree) };
    });
  } finally {
    fs.rmSync(tree, { recursive: true, force: true });
  }
}

function apply(patch, tree) {
  const git = (...args) => runGit(["apply", "--whitespace=nowarn", ...args, patch], tree);
  const whole = git("--verbose");
  if (whole.status === 0) {
    const offsets = [...whole.stderr.matchAll(/\(offset (-?\d+) lines?\)/g)].map((match) => Number(match[1]));
    return { fits: true, how: offsets.length > 0 ? `fits, moved by ${[...new Set(offsets)].join(", ")} lines` : "fits" };
  }
  if (git("--reverse", "--check").status === 0) return { fits: false, how: "is in this tree already: remove the patch" };
  if (git("-C1").status === 0) return { fits: false, how: "fits only with less context: read the result and make the patch again" };
  // beside what failed, --verbose quotes the lines that were looked for
  const errors = [...whole.stderr.matchAll(/^error: (?!while searching for:|.+: patch does not apply$)(?:patch failed: )?(.+)$/gm)].map((match) => match[1]);
  return { fits: false, how: `no longer fits: ${errors.join(", ") || whole.stderr.trim()}` };
}

/** Brings the files that a patch changes into `tree`, unless an earlier patch has brought them. */
function copyTouched(patch, dir, tree) {
  for (const [, file] of fs.readFileSync(patch, "utf8").matchAll(/^--- a\/(.+)$/gm)) {
    const [from, to] = [join(dir, file), join(tree, file)];
    if (fs.existsSync(to) || !fs.existsSync(from)) continue;
    fs.mkdirSync(dirname(to), { recursive: true });
    fs.copyFileSync(from, to);
  }
}

await runScript(import.meta.url, () => {
  const [dir, patchDir] = process.argv.slice(2);
  if (!dir) throw new BuildError("expected the folder of a llama.cpp tree: npm run patches:check -- DIR");
  if (!fs.existsSync(dir) || !fs.statSync(dir).isDirectory()) throw new BuildError(`expected the folder of a llama.cpp tree, but ${dir} is not a folder`);
  if (!hasProgram("git")) throw new BuildError("git is missing, and patches cannot be tried without it");

  const results = checkPatches(resolve(dir), patchDir ? resolve(patchDir) : undefined);
  for (const { name, how } of results) console.log(`${name}: ${how}`);
  const misfits = results.filter(({ fits }) => !fits);
  console.log(misfits.length > 0 ? `${misfits.length} of ${results.length} patches need work: ${misfits.map(({ name }) => name).join(", ")}` : `all ${results.length} patches fit`);
  if (misfits.length > 0) process.exitCode = 1;
});
