import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The repository's root, from the sources in bench/ as well as from what is compiled into build/bench/. */
export const ROOT = findRoot(__dirname);

function findRoot(dir: string): string {
  return existsSync(join(dir, "package.json")) ? dir : findRoot(dirname(dir));
}
