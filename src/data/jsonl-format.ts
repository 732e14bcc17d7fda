import type { FileHandle } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { dataInvalid } from "../base/errors.js";
import type { Entry, LogFormat } from "./append-log.js";
import { readJsonl } from "./jsonl.js";

/**
 * One JSON object a line. An entry ends with its line, since JSON has line ends in no other place.
 *
 * @param header the first line; null: there is none
 */
export function jsonlFormat(header: Entry | null, idOf: (entry: Entry) => unknown, name: string): LogFormat {
  const text = (entry: Entry): string => `${JSON.stringify(entry)}\n`;
  return {
    head: header ? text(header) : "",
    text,
    read: async (file, handle, signal) => {
      const size = await wholeLines(handle);
      return { size, ids: size > 0 ? await readIds(file, size, header, idOf, name, signal) : new Set() };
    },
  };
}

/** The bytes up to the last line end. */
async function wholeLines(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  const block = Buffer.alloc(1 << 16);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - block.length);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    const at = block.subarray(0, bytesRead).lastIndexOf(10);
    if (at >= 0 || start === 0) {
      return start + at + 1;
    }
    end = start;
  }
  return size;
}

async function readIds(file: string, size: number, header: Entry | null, idOf: (entry: Entry) => unknown, name: string, signal?: AbortSignal): Promise<Set<string>> {
  const ids = new Set<string>();
  let first = header !== null;
  for await (const { value, line, at } of readJsonl(file, z.looseObject({}), { size, signal })) {
    if (first && header) {
      checkHeader(value, header, name, at);
      first = false;
      continue;
    }
    const id = idOf(value);
    if (typeof id !== "string") {
      throw dataInvalid(at([]), `Expected a string for id in line ${line} of the ${name}`);
    }
    if (ids.has(id)) {
      throw dataInvalid(at(["id"]), `Expected each id once but ${id} occurs twice in the ${name}`);
    }
    ids.add(id);
  }
  return ids;
}

function checkHeader(found: Record<string, unknown>, expected: Record<string, unknown>, name: string, at: (path: string[]) => Parameters<typeof dataInvalid>[0]): void {
  const wanted = JSON.parse(JSON.stringify(expected)) as Record<string, unknown>;
  for (const key of new Set([...Object.keys(wanted), ...Object.keys(found)])) {
    if (!isDeepStrictEqual(found[key], wanted[key])) {
      throw dataInvalid(
        at([key]),
        `The ${name} exists and was started with a different ${key}: ${JSON.stringify(found[key])} instead of ${JSON.stringify(wanted[key])}; continue with the same settings, or write to another file`,
      );
    }
  }
}
