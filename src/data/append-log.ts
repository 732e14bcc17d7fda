import { type FileHandle, open } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { readJsonl } from "./jsonl.js";

type Entry = Record<string, unknown>;

export interface AppendLogOptions {
  /** the file's first line: what all entries depend on. A file with another one is not gone on with. null: there is none */
  header: Entry | null;
  /** what tells entries apart; by default their `id` */
  idOf?: (entry: Entry) => unknown;
  /** what the file is called in messages, such as "label file" */
  name: string;
  signal?: AbortSignal;
}

/**
 * A JSONL file that results are appended to, one line each, and that survives a kill at any moment: opened again, a last
 * line without its end is cut off, and `ids` tells what is there already. The first line is a header where there is one;
 * every other line is an object with a string `id`, or whatever `idOf` makes one of.
 *
 * Something that is no regular file (a pipe, a device) is written to from the start.
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
   * @throws {SdRpnError} DATA_INVALID (file, line, column) where the file's header differs, names the first difference, and
   *   where a line is broken or an id comes twice; IO_ERROR; ABORTED
   */
  static async open(file: string, { header, name, signal, idOf = ({ id }) => id }: AppendLogOptions): Promise<AppendLog> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(file, "a+");
      const stat = await handle.stat();
      const size = stat.isFile() ? await cutTornLine(handle, stat.size) : 0;
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
   * Appends an entry; resolves when the operating system has it, which no kill of this process undoes.
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
      if (!this.failure && (await this.handle.stat()).isFile()) {
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
        throw this.failure; // after half a line nothing may follow
      }
      try {
        await this.handle.appendFile(`${JSON.stringify(line)}\n`);
      } catch (error) {
        this.failure = ioError(error, `write the ${this.name} ${this.file}`, "; what was written before stays usable, and the same call goes on from there");
        throw this.failure;
      }
    });
    return this.chain;
  }
}

/** Cuts off what follows the last line end; returns the size that is left. */
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
      throw dataInvalid(at(["id"]), `Expected each id once but ${id} comes twice in the ${name}`);
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
        `The ${name} exists and was begun with another ${key}: ${JSON.stringify(found[key])} instead of ${JSON.stringify(wanted[key])}; go on as it was begun, or write another file`,
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
