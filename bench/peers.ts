import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { EngineName } from "./protocol.js";
import { ROOT } from "./root.js";

/** Other bindings of llama.cpp. They have a package of their own: none of them is a dependency of the library. */
export const PEERS: EngineName[] = ["@fugood/llama.node", "node-llama-cpp"];

const DIR = join(ROOT, "bench", "peers");

/** Whether `npm install --ignore-scripts --prefix bench/peers` has been run. */
export function peerInstalled(name: EngineName): boolean {
  return existsSync(join(DIR, "node_modules", name, "package.json"));
}

export function peerVersion(name: EngineName): string {
  return JSON.parse(readFileSync(join(DIR, "node_modules", name, "package.json"), "utf8")).version;
}

/** Loads a peer's module; what is used of it is typed by the caller. */
export async function importPeer<T>(name: EngineName): Promise<T> {
  const path = createRequire(join(DIR, "package.json")).resolve(name);
  return (await import(pathToFileURL(path).href)) as T;
}
