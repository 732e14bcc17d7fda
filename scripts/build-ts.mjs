// Compiles src/ to lib/: CommonJS with declarations, and lib/index.mjs (from src/index.mts) for ESM; puts the chart library's
// one file beside it, so that an installation needs none of the rest (docs/decisions/092-echarts.md).
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
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
  copyCharts(join(lib, "vendor"));
  fs.cpSync(join(ROOT, "src", "server", "page"), join(lib, "server", "page"), { recursive: true }); // of the service: sent as it is
  fs.copyFileSync(join(ROOT, "src", "image", "pdf-worker.cjs"), join(lib, "image", "pdf-worker.cjs")); // run by a thread as it is
  const cli = join(lib, "cli", "main.js");
  if (fs.existsSync(cli)) fs.chmodSync(cli, 0o755);
}

/** What package.json's #echarts names, with the licenses of what is in it. */
function copyCharts(target) {
  const { resolve } = createRequire(import.meta.url);
  let echarts, zrender;
  try {
    echarts = dirname(resolve("echarts/package.json"));
    zrender = dirname(resolve("zrender/package.json"));
  } catch {
    throw new BuildError("ECharts, which draws the charts, is not installed: run `npm ci`");
  }
  const files = [
    [join(echarts, "dist", "echarts.common.min.js"), "echarts.common.min.js"],
    [join(echarts, "LICENSE"), "echarts-LICENSE"],
    [join(echarts, "NOTICE"), "echarts-NOTICE"],
    [join(echarts, "licenses", "LICENSE-d3"), "d3-LICENSE"],
    [join(zrender, "LICENSE"), "zrender-LICENSE"],
  ];
  fs.mkdirSync(target, { recursive: true });
  for (const [from, name] of files) fs.copyFileSync(from, join(target, name));
}

await runScript(import.meta.url, buildTypeScript);
