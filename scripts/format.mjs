// `npm run format` brings native/ into the form of .clang-format; `npm run format:check` (--check) only says what is not.
//
// clang-format comes as a binary in the npm package clang-format-node: its version is part of the package's, and other versions
// format differently.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { BuildError, ROOT, runScript, say } from "./common.mjs";

await runScript(import.meta.url, () => {
  const check = process.argv.includes("--check");
  const native = join(ROOT, "native");
  const files = fs.readdirSync(native, { recursive: true })
    .filter((file) => /\.(h|cpp|cu)$/.test(file))
    .map((file) => join(native, file))
    .sort();

  const { status, error } = spawnSync(clangFormat(), ["--style=file", ...(check ? ["--dry-run", "--Werror"] : ["-i"]), ...files], { cwd: ROOT, stdio: "inherit" });
  if (error) throw new BuildError(`clang-format could not be started: ${error.message}`);
  if (status !== 0) throw new BuildError(check ? "the files above are not formatted: run `npm run format`" : "clang-format failed: its message is above");
  say(`${files.length} files in ${relative(ROOT, native)} are formatted`);
});

function clangFormat() {
  const { getClangFormatPath } = createRequire(import.meta.url)("clang-format-node");
  return getClangFormatPath(process.platform, process.arch);
}
