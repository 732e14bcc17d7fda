import { readdir } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { SdRpnError } from "../base/errors.js";

/**
 * Names that pictures have. Those of kinds that cannot be read are among them: each is told with what to do about it, instead of being
 * passed over.
 */
const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|bmp|ico|heic|heif|jxl|jp2|pdf|svg)$/i;

/**
 * The pictures in a folder and those below it, by path: an id each, the path relative to the folder. Names that begin with a dot are
 * left out, as are links to folders.
 *
 * @param without a folder that is left out where it lies below this one
 * @throws {SdRpnError} DATA_INVALID where there is none; IO_ERROR
 */
export async function picturesIn(folder: string, without?: string): Promise<{ id: string; path: string }[]> {
  let entries;
  try {
    entries = await readdir(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the folder ${folder}: ${(error as Error).message}`, { cause: error });
  }
  const left = without !== undefined && resolve(without).startsWith(resolve(folder) + sep) ? resolve(without) + sep : undefined;
  const found = entries
    .filter((entry) => !entry.isDirectory() && PICTURE.test(entry.name))
    .map(({ parentPath, name }) => resolve(join(parentPath, name)))
    .filter((path) => left === undefined || !path.startsWith(left))
    .map((path) => ({ path, id: relative(resolve(folder), path).split(sep).join("/") }))
    .filter(({ id }) => !/(^|\/)\./.test(id));
  if (found.length === 0) {
    throw new SdRpnError("DATA_INVALID", `Expected pictures in the folder ${folder} but none of its ${entries.length} files and folders has the name of one (.jpg, .png, ...)`);
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1)); // by code units, the same on every machine
}
