import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

export const ROOT = resolve(__dirname, "..", "..");
export const ADDON = join(ROOT, "build", "Release", "sd_rpn.node");

export interface Packed {
  /** folder of a project that has sd-rpn and its dependencies installed */
  project: string;
  tarball: string;
  /** paths inside the package */
  files: string[];
  /** installs one more of this repository's packages */
  link(name: string): void;
  remove(): void;
}

/** Packs the built package as `npm publish` would, and installs it into an empty project without going online. */
export function packAndInstall(): Packed {
  if (!existsSync(join(ROOT, "lib", "index.js"))) throw new Error("lib/ is not built: run `npm run build:ts`");
  const project = realpathSync(mkdtempSync(join(tmpdir(), "sd-rpn-package-")));
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  // --ignore-scripts: `prepare` would build again
  const json = execFileSync(npm, ["pack", "--ignore-scripts", "--json", "--pack-destination", project], {
    cwd: ROOT,
    encoding: "utf8",
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [report] = JSON.parse(json) as [{ filename: string; files: { path: string }[] }];
  const tarball = join(project, report.filename);

  const modules = join(project, "node_modules");
  const installed = join(modules, "sd-rpn");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"]);
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { dependencies: Record<string, string> };
  for (const name of [...Object.keys(dependencies), "@types/node", "undici-types"]) link(name, modules);

  return {
    project,
    tarball,
    files: report.files.map((file) => file.path),
    link: (name) => link(name, modules),
    remove: () => rmSync(project, { recursive: true, force: true }),
  };
}

function link(name: string, modules: string): void {
  const path = join(modules, name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), path, "junction");
}
