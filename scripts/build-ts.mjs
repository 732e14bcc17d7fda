// Compiles src/ to lib/: CommonJS with declarations, and lib/index.mjs (from src/index.mts) for ESM.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { BuildError, ROOT, runScript } from "./common.mjs";

/** Compiles from scratch: a renamed source must not leave its old output behind. */
export function buildTypeScript() {
  const lib = join(ROOT, "lib");
  let tsc;
  try {
    tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  } catch {
    throw new BuildError("TypeScript is not installed: run `npm ci`");
  }
  fs.rmSync(lib, { recursive: true, force: true });
  const { status } = spawnSync(process.execPath, [tsc, "-p", join(ROOT, "tsconfig.json")], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) throw new BuildError("TypeScript found errors: they are above");
  const cli = join(lib, "cli", "main.js");
  if (fs.existsSync(cli)) fs.chmodSync(cli, 0o755);
}

await runScript(import.meta.url, buildTypeScript);
