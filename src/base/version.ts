import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** This library's version, as in package.json. */
export const version = (JSON.parse(readFileSync(join(resolve(__dirname, "..", ".."), "package.json"), "utf8")) as { version: string }).version;
