import type { FileHandle } from "node:fs/promises";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { openRegularFile } from "../base/regular-file.js";
import { jsonlFormat } from "./jsonl-format.js";

export type Entry = Record<string, unknown>;

/** How entries lie in a file. */
export interface LogFormat {
  /** what a new file begins with */
  head: string;
  /** an entry, its end included */
  text(entry: Entry): string;
  /**
   * The ids of the entries in a file, and how many of its bytes are whole ones: what follows was torn off by a kill.
   *
   * @throws {SdRpnError} DATA_INVALID (file, line, column) where it is another file; IO_ERROR; ABORTED
   */
  read(file: string, handle: FileHandle, signal?: AbortSignal): Promise<{ ids: Set<string>; size: number }>;
}

export interface AppendLogOptions {
  /** the file's first line: what all entries depend on. A file whose header differs is rejected. null: no header */
  header: Entry | null;
  /** what identifies an entry; by default its `id` */
  idOf?: (entry: Entry) => unknown;
  /** what the file is called in messages, such as "label file" */
  name: string;
  /** default: JSON Lines with that header */
  format?: LogFormat;
  signal?: AbortSignal;
}

/**
 * A file to which results are appended, one per line, and which stays usable if the process is killed at any moment:
 * when it is opened again, an incomplete last entry is removed, and `ids` tells which results are there already. By default it is JSON
 * Lines: the first line may be a header; every other line is an object with a string `id`, or one from which `idOf` makes an id.
 */
export class AppendLog {
  private chain: Promise<void> = Promise.resolve();
  private failure: SdRpnError | undefined;

  private constructor(
    private readonly file: string,
    private readonly name: string,
    private readonly handle: FileHandle,
    private readonly format: LogFormat,
    private readonly idOf: (entry: Entry) => unknown,
    /** of the entries in the file */
    readonly ids: Set<string>,
  ) {}

  /**
   * @throws {SdRpnError} DATA_INVALID (file, line, column) where the file's header differs (the message names the first
   *   difference), a line is broken or an id occurs twice; IO_ERROR; ABORTED
   */
  static async open(file: string, { header, name, signal, idOf = ({ id }) => id, format = jsonlFormat(header, idOf, name) }: AppendLogOptions): Promise<AppendLog> {
    let handle: FileHandle | undefined;
    try {
      handle = await openRegularFile(file, "append");
      const { size } = await handle.stat();
      const whole = await format.read(file, handle, signal);
      if (whole.size === 0 && size > 0) {
        await checkTorn(handle, size, format.head === "" ? "{" : format.head, file, name);
      }
      if (whole.size < size) {
        await handle.truncate(whole.size);
      }
      const log = new AppendLog(file, name, handle, format, idOf, whole.ids);
      if (whole.size === 0 && format.head !== "") {
        await log.write(format.head);
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
    return this.write(this.format.text(entry));
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

  private write(text: string): Promise<void> {
    this.chain = this.chain.then(async () => {
      if (this.failure) {
        throw this.failure; // nothing may be written after an incomplete line
      }
      try {
        await this.handle.appendFile(text);
      } catch (error) {
        this.failure = ioError(error, `write the ${this.name} ${this.file}`, "; what was written before stays usable, and repeating the call continues from there");
        throw this.failure;
      }
    });
    return this.chain;
  }
}

/**
 * A file without a whole line is overwritten only where it can be what a kill has left of the first one, and not some other file.
 *
 * @param head what the file would begin with
 */
async function checkTorn(handle: FileHandle, size: number, head: string, file: string, name: string): Promise<void> {
  const expected = Buffer.from(head);
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(expected.length), 0, expected.length, 0);
  const found = buffer.subarray(0, bytesRead);
  if (!expected.subarray(0, bytesRead).equals(found) || (head !== "{" && size > expected.length)) {
    throw dataInvalid({ file, line: 1, column: 1 }, `Expected a ${name} but this is another file: give the path of another one`);
  }
}

function ioError(error: unknown, doing: string, more = ""): SdRpnError {
  if (error instanceof SdRpnError) {
    return error;
  }
  return new SdRpnError("IO_ERROR", `Cannot ${doing}: ${(error as Error).message}${more}`, { cause: error });
}
