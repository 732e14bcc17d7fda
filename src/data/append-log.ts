import type { FileHandle } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { openRegularFile } from "../base/regular-file.js";
import { readJsonl } from "./jsonl.js";

type Entry = Record<string, unknown>;

export interface AppendLogOptions {
  /** the file's first line: what all entries depend on. A file whose header differs is rejected. null: no header */
  header: Entry | null;
  /** what identifies an entry; by default its `id` */
  idOf?: (entry: Entry) => unknown;
  /** what the file is called in messages, such as "label file" */
  name: string;
  signal?: AbortSignal;
}

/**
 * A JSONL file to which results are appended, one per line, and which stays usable if the process is killed at any moment:
 * when it is opened again, an incomplete last line is removed, and `ids` tells which results are there already. The first
 * line may be a header; every other line is an object with a string `id`, or one from which `idOf` makes an id.
 */
export class AppendLog {
  private chain: Promise<void> = Promise.resolve();
  private failure: SdRpnError | undefined;

  private constructor(
    private readonly file: string,
    private readonly name: string,
    private readonly handle: FileHandle,
    private readonly idOf: (entry: Entry) => unknown,
    /** of the entries in the file */
    readonly ids: Set<string>,
  ) {}

  /**
   * @throws {SdRpnError} DATA_INVALID (file, line, column) where the file's header differs (the message names the first
   *   difference), a line is broken or an id occurs twice; IO_ERROR; ABORTED
   */
  static async open(file: string, { header, name, signal, idOf = ({ id }) => id }: AppendLogOptions): Promise<AppendLog> {
    let handle: FileHandle | undefined;
    try {
      handle = await openRegularFile(file, "append");
      const size = await cutTornLine(handle, (await handle.stat()).size);
      const log = new AppendLog(file, name, handle, idOf, size > 0 ? await readIds(file, header, idOf, name, signal) : new Set());
      if (size === 0 && header) {
        await log.write(header);
      }
      return log;
    } catch (error) {
      await handle?.close();
      throw ioError(error, `open the ${name} ${file}`);
    }
  }

  /**
   * Appends an entry; resolves when the operating system has the data, so that killing this process cannot lose it.
   *
   * @throws {SdRpnError} IO_ERROR (a full disk); what was appended before stays readable
   */
  append(entry: Entry): Promise<void> {
    this.ids.add(String(this.idOf(entry)));
    return this.write(entry);
  }

  async close(): Promise<void> {
    await this.chain.catch(() => {});
    try {
      if (!this.failure) {
        await this.handle.datasync();
      }
    } finally {
      await this.handle.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private write(line: unknown): Promise<void> {
    this.chain = this.chain.then(async () => {
      if (this.failure) {
        throw this.failure; // nothing may be written after an incomplete line
      }
      try {
        await this.handle.appendFile(`${JSON.stringify(line)}\n`);
      } catch (error) {
        this.failure = ioError(error, `write the ${this.name} ${this.file}`, "; what was written before stays usable, and repeating the call continues from there");
        throw this.failure;
      }
    });
    return this.chain;
  }
}

/** Removes what follows the last line end; returns the remaining size. */
async function cutTornLine(handle: FileHandle, size: number): Promise<number> {
  const block = Buffer.alloc(1 << 16);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - block.length);
    const { bytesRead } = await handle.read(block, 0, end - start, start);
    const at = block.subarray(0, bytesRead).lastIndexOf(10);
    if (at >= 0 || start === 0) {
      const whole = start + at + 1;
      if (whole < size) {
        await handle.truncate(whole);
      }
      return whole;
    }
    end = start;
  }
  return size;
}

async function readIds(file: string, header: Entry | null, idOf: (entry: Entry) => unknown, name: string, signal?: AbortSignal): Promise<Set<string>> {
  const ids = new Set<string>();
  let first = header !== null;
  for await (const { value, line, at } of readJsonl(file, z.looseObject({}), { signal })) {
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

function ioError(error: unknown, doing: string, more = ""): SdRpnError {
  if (error instanceof SdRpnError) {
    return error;
  }
  return new SdRpnError("IO_ERROR", `Cannot ${doing}: ${(error as Error).message}${more}`, { cause: error });
}
