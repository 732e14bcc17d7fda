import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { readTextFile } from "../base/regular-file.js";

// What a run was started with lies in a file beside its results, so that it goes on with the same settings or not at all.

/** The format of such files. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The file's text; undefined where there is none. @throws {Error} of the system */
export async function readSettings(file: string): Promise<string | undefined> {
  try {
    return await readTextFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/**
 * The first difference: "threshold is 0.15 there and 0.1 here".
 *
 * @param found the text of a file of settings
 * @param own the settings of this call
 * @param name what the file is called
 */
export function differenceOf(found: string, own: object, name: string): string {
  let other: Record<string, unknown>;
  try {
    other = JSON.parse(found) as Record<string, unknown>;
  } catch {
    return `its ${name} cannot be read`;
  }
  const here = JSON.parse(JSON.stringify(own)) as Record<string, unknown>;
  const key = Object.keys({ ...here, ...other }).find((each) => !isDeepStrictEqual(here[each], other?.[each])) ?? name;
  return `${key} is ${brief(other?.[key])} there and ${brief(here[key])} here`;
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 120 ? `${text.slice(0, 100)}... (${createHash("sha256").update(text).digest("hex").slice(0, 8)})` : text;
}
