import { dataInvalid, SdRpnError } from "../../base/errors.js";
import { throwIfAborted } from "../../base/abort.js";
import { openRegularFile } from "../../base/regular-file.js";

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const QUOTE = 34;
const CHUNK_BYTES = 1 << 20;

export interface TsvCell {
  /** without its quotes; doubled quotes inside stay doubled */
  bytes: Buffer;
  quoted: boolean;
  /** of the bytes, in the file */
  offset: number;
  /** of the cell's first character, in its row, in bytes from 1 */
  column: number;
}

export interface TsvRow {
  cells: TsvCell[];
  /** the row's first line, from 1 */
  line: number;
}

/**
 * The rows of a file of tab-separated values, as pandas writes it: a cell that begins with a quote goes to its closing
 * one and may hold tabs, line ends and doubled quotes. One row is in memory at a time; its bytes are valid until the next.
 *
 * @throws {SdRpnError} DATA_INVALID for a quote that is never closed; IO_ERROR; ABORTED
 */
export async function* readTsvRows(file: string, signal?: AbortSignal): AsyncGenerator<TsvRow> {
  let handle;
  try {
    handle = await openRegularFile(file, "read");
    let buffer: Buffer = Buffer.alloc(0);
    let offset = 0;
    let line = 1;
    for (let ended = false; ; ) {
      throwIfAborted(signal);
      const row = splitRow(buffer, ended, offset);
      if (row) {
        yield { cells: row.cells, line };
        line += row.lines;
        offset += row.length;
        buffer = buffer.subarray(row.length);
      } else if (ended) {
        if (buffer.length > 0) {
          throw dataInvalid({ file, line, column: 1 }, "Expected a closing quote but the file ends");
        }
        return;
      } else {
        // read as much as the row has already, so that a long row is copied only a few times
        const more = await handle.read({ buffer: Buffer.allocUnsafe(Math.max(CHUNK_BYTES, buffer.length)) });
        ended = more.bytesRead === 0;
        buffer = Buffer.concat([buffer, more.buffer.subarray(0, more.bytesRead)]);
      }
    }
  } catch (error) {
    throw error instanceof SdRpnError ? error : new SdRpnError("IO_ERROR", `Cannot read the data file ${file}: ${(error as Error).message}`, { cause: error });
  } finally {
    await handle?.close();
  }
}

/** The first row of the buffer, or null if the buffer does not contain its end yet. */
function splitRow(buffer: Buffer, ended: boolean, offset: number): { cells: TsvCell[]; length: number; lines: number } | null {
  if (buffer.length === 0) {
    return null;
  }
  const cells: TsvCell[] = [];
  let lines = 1;
  for (let start = 0; ; ) {
    const quoted = buffer[start] === QUOTE;
    const closing = quoted ? closingQuote(buffer, start + 1, ended) : start;
    if (closing < 0) {
      return null;
    }
    const separator = cellEnd(buffer, closing);
    if (separator === buffer.length && !ended) {
      return null;
    }
    const lineEnds = separator === buffer.length || buffer[separator] === LINE_FEED;
    const [from, to] = quoted ? [start + 1, closing] : [start, lineEnds && buffer[separator - 1] === CARRIAGE_RETURN ? Math.max(start, separator - 1) : separator];
    const bytes = buffer.subarray(from, to);
    cells.push({ bytes, quoted, offset: offset + from, column: start + 1 });
    lines += quoted ? count(bytes, LINE_FEED) : 0;
    if (lineEnds) {
      return { cells, length: Math.min(separator + 1, buffer.length), lines };
    }
    start = separator + 1;
  }
}

/** The position of the quote that ends the cell, -1 if it is not in the buffer; a quote at the buffer's end may be the first of two. */
function closingQuote(buffer: Buffer, from: number, ended: boolean): number {
  for (let at = buffer.indexOf(QUOTE, from); at >= 0; at = buffer.indexOf(QUOTE, at + 2)) {
    if (at + 1 === buffer.length ? ended : buffer[at + 1] !== QUOTE) {
      return at;
    }
    if (at + 1 === buffer.length) {
      return -1;
    }
  }
  return -1;
}

/** The tab or line end after `from`. The tab is looked for first: it is near in all cells but the last. */
function cellEnd(buffer: Buffer, from: number): number {
  const tab = buffer.indexOf(TAB, from);
  const end = tab < 0 ? buffer.length : tab;
  const lineFeed = buffer.subarray(from, end).indexOf(LINE_FEED);
  return lineFeed < 0 ? end : from + lineFeed;
}

function count(bytes: Buffer, byte: number): number {
  let total = 0;
  for (let at = bytes.indexOf(byte); at >= 0; at = bytes.indexOf(byte, at + 1)) {
    total++;
  }
  return total;
}
