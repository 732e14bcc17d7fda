import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ChildResult, runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";

/** The command line's entry, as package.json's bin names it. */
export const CLI = join("lib", "cli", "main.js");

/** Runs `sd-rpn` with these arguments at the repository's root, without a terminal; rejects where lib/ was not built. */
export function sdRpn(args: string[], env: NodeJS.ProcessEnv = {}): Promise<ChildResult> {
  checkBuilt();
  return runNode([CLI, ...args], { env: { SD_RPN_LOG: "", FORCE_COLOR: undefined, ...env } });
}

export function checkBuilt(): void {
  if (!existsSync(join(ROOT, CLI))) {
    throw new Error(`${CLI} is missing: run \`npm run build\``);
  }
}
