import { z } from "zod";
import { locate } from "../../data/json-place.js";
import { readJsonl } from "../../data/jsonl.js";
import { type DataPlace, dataInvalid, SdRpnError } from "../../base/errors.js";
import { readTextFile } from "../../base/regular-file.js";
import { throwIfAborted } from "../../base/abort.js";
import { DataRecord } from "./record.js";

/**
 * The records of a JSON file: an array of objects, or an object with such an array as `data`, as TextVQA, DocVQA, ChartQA
 * and OCRBench are released. The file is read whole; the largest of them has 25 MB. Files with one object per line that
 * are named .json (POPE) are read line by line.
 *
 * @throws {SdRpnError} DATA_INVALID, IO_ERROR
 */
export async function* readJsonFile(file: string, signal?: AbortSignal): AsyncGenerator<DataRecord> {
  const text = await read(file, signal);
  throwIfAborted(signal);
  if (isJsonLines(text)) {
    yield* readJsonlFile(file, signal);
    return;
  }
  const { records, path } = find(parse(text, file), file);
  for (const [position, values] of records.entries()) {
    const at = (column?: string): DataPlace => placeIn(text, file, locate(text, [...path, position, ...(column === undefined ? [] : [column])]).offset);
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw dataInvalid(at(), `Expected an object for record ${position + 1}`);
    }
    yield new DataRecord({ file, position, values: values as Record<string, unknown>, at });
  }
}

/** The records of a JSONL file, one object per line, read while they are consumed. */
export async function* readJsonlFile(file: string, signal?: AbortSignal): AsyncGenerator<DataRecord> {
  let position = 0;
  for await (const { value, at } of readJsonl(file, z.looseObject({}), { signal })) {
    yield new DataRecord({ file, position: position++, values: value, at: (column) => at(column === undefined ? [] : [column]) });
  }
}

async function read(file: string, signal?: AbortSignal): Promise<string> {
  throwIfAborted(signal);
  try {
    const text = await readTextFile(file);
    return text.startsWith("\uFEFF") ? text.slice(1) : text;
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the data file ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Whether the first line is one record rather than a whole document on one line. */
function isJsonLines(text: string): boolean {
  const first = text.slice(0, text.indexOf("\n") >>> 0).trim();
  if (!first.startsWith("{") || !first.endsWith("}")) {
    return false;
  }
  try {
    return !Array.isArray((JSON.parse(first) as { data?: unknown }).data);
  } catch {
    return false;
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { offset } = locate(text, []);
    const found = offset >= text.trimEnd().length ? "the file ends" : `received ${JSON.stringify(text.slice(offset, offset + 20))}`;
    throw dataInvalid(placeIn(text, file, offset), `Expected JSON but ${found}`, error);
  }
}

function find(document: unknown, file: string): { records: readonly unknown[]; path: string[] } {
  if (Array.isArray(document)) {
    return { records: document, path: [] };
  }
  const data = typeof document === "object" && document !== null ? (document as { data?: unknown }).data : undefined;
  if (Array.isArray(data)) {
    return { records: data, path: ["data"] };
  }
  throw dataInvalid({ file, line: 1, column: 1 }, "Expected an array of records, or an object with such an array as data");
}

function placeIn(text: string, file: string, offset: number): DataPlace {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf("\n") + 1;
  return { file, line: before.split("\n").length, column: offset - lineStart + 1 };
}
