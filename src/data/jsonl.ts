import type { z } from "zod";
import { type DataPlace, dataInvalid, SdRpnError } from "../base/errors.js";
import { throwIfAborted } from "../base/abort.js";
import { openRegularFile } from "../base/regular-file.js";
import { parseOptions } from "../base/validate.js";
import { locate } from "./json-place.js";

/** A file with a line longer than this is assumed not to be JSONL. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

export interface JsonlEntry<T> {
  value: T;
  /** in the file, from 1; blank lines count */
  line: number;
  /** the place of a value in the line, for errors found later: `at(["image"])` */
  at(path: readonly PropertyKey[]): DataPlace;
}

export interface JsonlOptions {
  /** whether a file without any entry is accepted; by default it is DATA_INVALID */
  allowEmpty?: boolean;
  /** bytes of the file to read; default: all */
  size?: number;
  signal?: AbortSignal;
}

/**
 * Reads a JSONL file entry by entry: UTF-8, one JSON value per line; blank lines and a byte order mark are skipped.
 * The file is read while entries are consumed, so it may be larger than memory.
 *
 * @param schema what a line must be; its output is what the entry has
 * @throws {SdRpnError} DATA_INVALID with file, line and column for the first line that is not JSON, is not UTF-8 or does not
 *   fit the schema, and for a file without entries; IO_ERROR where the file cannot be read; ABORTED
 */
export async function* readJsonl<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  options: JsonlOptions = {},
): AsyncGenerator<JsonlEntry<z.output<Schema>>, void, undefined> {
  let empty = true;
  for await (const { bytes, line } of readLines(file, options)) {
    const text = decode(bytes, file, line);
    if (text.trim() === "") {
      continue;
    }
    empty = false;
    const at = (path: readonly PropertyKey[]): DataPlace => ({ file, line, column: locate(text, path).offset + 1 });
    yield { value: checkEntry(schema, parse(text, file, line), at), line, at };
  }
  if (empty && !options.allowEmpty) {
    throw dataInvalid({ file, line: 1, column: 1 }, "Expected at least one line of JSON but the file has none");
  }
}

/** All entries, in one array. */
export async function readAllJsonl<Schema extends z.ZodType>(file: string, schema: Schema, options?: JsonlOptions): Promise<JsonlEntry<z.output<Schema>>[]> {
  const entries = [];
  for await (const entry of readJsonl(file, schema, options)) {
    entries.push(entry);
  }
  return entries;
}

/** The lines of a file as bytes, without their ends. */
async function* readLines(file: string, { size, signal }: JsonlOptions): AsyncGenerator<{ bytes: Buffer; line: number }, void, undefined> {
  throwIfAborted(signal);
  let line = 1;
  let rest: Buffer[] = [];
  let length = 0;
  for await (const chunk of readChunks(file, size)) {
    throwIfAborted(signal);
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield { bytes: Buffer.concat([...rest, chunk.subarray(start, end)]), line: line++ };
      rest = [];
      length = 0;
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > MAX_LINE_BYTES) {
      throw dataInvalid({ file, line, column: 1 }, `Expected a line of at most ${MAX_LINE_BYTES} bytes: this may not be a JSONL file`);
    }
  }
  if (length > 0) {
    yield { bytes: Buffer.concat(rest), line };
  }
}

/** A file's bytes, the first `size` of them, in pieces. @throws {SdRpnError} IO_ERROR */
export async function* readChunks(file: string, size = Infinity): AsyncGenerator<Buffer, void, undefined> {
  let handle;
  try {
    handle = await openRegularFile(file, "read");
    // Read without a stream: a stream reports its errors at another time than its data.
    for (let left = size; left > 0; ) {
      const { bytesRead, buffer } = await handle.read({ buffer: Buffer.allocUnsafe(1 << 16) });
      if (bytesRead === 0) {
        return;
      }
      yield buffer.subarray(0, Math.min(left, bytesRead));
      left -= bytesRead;
    }
  } catch (error) {
    if (error instanceof SdRpnError) {
      throw error;
    }
    throw new SdRpnError("IO_ERROR", `Cannot read the data file ${file}: ${(error as Error).message}`, { cause: error });
  } finally {
    await handle?.close();
  }
}

function decode(bytes: Buffer, file: string, line: number): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return line === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text;
  } catch (error) {
    const good = bytes.toString("utf8").indexOf("\uFFFD");
    throw dataInvalid({ file, line, column: good + 1 }, "Expected UTF-8 but received bytes that are not valid UTF-8", error);
  }
}

function parse(text: string, file: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { offset } = locate(text, []);
    const found = offset >= text.trimEnd().length ? "the line ends" : `received ${JSON.stringify(text.slice(offset, offset + 20))}`;
    throw dataInvalid({ file, line, column: offset + 1 }, `Expected JSON but ${found}`, error);
  }
}

/**
 * Checks an entry's value against `schema` and returns its output; for files that hold several kinds of lines.
 *
 * @throws {SdRpnError} DATA_INVALID at the first part that does not fit
 */
export function checkEntry<Schema extends z.ZodType>(schema: Schema, value: unknown, at: JsonlEntry<unknown>["at"]): z.output<Schema> {
  try {
    return parseOptions(schema, value, "line");
  } catch (error) {
    const { message, cause } = error as SdRpnError;
    const issues = (cause as z.ZodError | undefined)?.issues ?? [];
    const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
    throw dataInvalid(at(issue?.path ?? []), message, error);
  }
}
