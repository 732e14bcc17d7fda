import { readdir, stat } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { SdRpnError } from "../../base/errors.js";
import { invalidArgument } from "../../base/validate.js";
import { readJsonFile, readJsonlFile } from "./json-file.js";
import { readParquetFile } from "./parquet-file.js";
import type { PictureCache } from "./parquet-pictures.js";
import type { DataRecord } from "./record.js";
import { readTsvFile } from "./tsv-file.js";

/** File names under which a part of a data set is released; of a list of alternatives, the first that exists is read. */
export type SplitFiles = Readonly<Record<string, readonly (readonly string[])[]>>;

/** The names of the parts on Hugging Face, with which its Parquet files begin. */
const PARQUET_PREFIXES: Readonly<Record<string, readonly string[]>> = { validation: ["validation", "val"], test: ["test"], train: ["train"] };

/**
 * The files of a data set: `data` itself where it is a file; in a folder, or its `data` folder, the published files,
 * or else the Parquet files of the requested part.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a part that the task does not have; IO_ERROR where there are no files
 */
export async function dataFiles(data: string, splits: SplitFiles, split: string | null): Promise<string[]> {
  const known = Object.keys(splits);
  if (split !== null && known.length > 0 && !known.includes(split)) {
    throw invalidArgument(known.join(" or "), "split", split);
  }
  const path = resolve(data);
  if (!(await isFolder(path))) {
    return [path];
  }
  for (const folder of [path, join(path, "data")]) {
    const names = await readdir(folder).catch(() => []);
    const found = named(names, split === null ? [] : (splits[split] ?? []));
    const chosen = found.length > 0 ? found : parquet(names, split);
    if (chosen.length > 0) {
      return chosen.map((name) => join(folder, name));
    }
  }
  const expected = split === null ? "" : (splits[split] ?? []).map((alternatives) => alternatives[0]).join(", ");
  throw new SdRpnError("IO_ERROR", `Expected ${expected === "" ? "" : `${expected} or `}Parquet files in ${path}, but there are none; give the data file itself`);
}

/** The records of a data file, whose type is told by its extension. */
export function readRecords(file: string, options: { base64: ReadonlySet<string>; cache: PictureCache; signal?: AbortSignal }): AsyncGenerator<DataRecord> {
  switch (extname(file).toLowerCase()) {
    case ".parquet":
      return readParquetFile(file, options);
    case ".tsv":
      return readTsvFile(file, options.base64, options.signal);
    case ".jsonl":
      return readJsonlFile(file, options.signal);
    case ".json":
      return readJsonFile(file, options.signal);
    default:
      throw invalidArgument("file that ends with .json, .jsonl, .tsv or .parquet", "data", file);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the data ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function named(names: readonly string[], files: readonly (readonly string[])[]): string[] {
  const lowered = new Map(names.map((name) => [name.toLowerCase(), name]));
  return files.flatMap((alternatives) => {
    const there = alternatives.find((name) => lowered.has(name.toLowerCase()));
    return there === undefined ? [] : [lowered.get(there.toLowerCase()) as string];
  });
}

/** Those of the part, or all of them if their names do not tell parts apart. */
function parquet(names: readonly string[], split: string | null): string[] {
  const files = names.filter((name) => name.toLowerCase().endsWith(".parquet")).sort();
  const isOf = (name: string, part: string): boolean => PARQUET_PREFIXES[part].some((prefix) => new RegExp(`^${prefix}[-._0-9]`).test(name));
  const told = files.filter((name) => Object.keys(PARQUET_PREFIXES).some((part) => isOf(name, part)));
  return told.length === 0 || split === null ? files : told.filter((name) => split in PARQUET_PREFIXES && isOf(name, split));
}
