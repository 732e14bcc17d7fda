import { throwIfAborted } from "../base/abort.js";
import { dataInvalid } from "../base/errors.js";
import { readChunks } from "./jsonl.js";

/** A record longer than this is taken for a quote that is never closed. */
const MAX_RECORD = 16 * 1024 * 1024;

const FIELD = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n)/y;
/** What a field may look like before its end is there. */
const BEGUN = /^(?:"[^"]*(?:""[^"]*)*(?:"\r?)?|[^",\r\n]*\r?)$/;

/** A line of a CSV file (RFC 4180): fields with commas, quotes, line ends or white space at their ends stand in quotes. */
export function csvLine(fields: readonly string[]): string {
  return `${fields.map((field) => (/[",\r\n]|^\s|\s$/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",")}\n`;
}

export interface CsvRecord {
  fields: string[];
  /** where it begins, from 1; fields may have several lines */
  line: number;
  /** bytes of the file up to its end */
  end: number;
}

/**
 * Reads a CSV file record by record, in UTF-8. What follows the last whole record is left out: it may be the beginning of one that was
 * torn off.
 *
 * @throws {SdRpnError} DATA_INVALID (file, line, column) for what is no CSV; IO_ERROR; ABORTED
 */
export async function* readCsv(file: string, signal?: AbortSignal): AsyncGenerator<CsvRecord, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  let line = 1;
  let end = 0;
  for await (const chunk of readChunks(file)) {
    throwIfAborted(signal);
    try {
      text += decoder.decode(chunk, { stream: true });
    } catch (error) {
      throw dataInvalid({ file, line, column: 1 }, "Expected CSV in UTF-8 but received bytes that are not, in this line or a later one", error);
    }
    if (end === 0 && text.startsWith("\uFEFF")) {
      text = text.slice(1);
      end = 3;
    }
    let at = 0;
    for (let record = takeRecord(text, at, { file, line }); record; record = takeRecord(text, at, { file, line })) {
      const raw = text.slice(at, record.at);
      end += Buffer.byteLength(raw);
      yield { fields: record.fields, line, end };
      line += raw.split("\n").length - 1;
      at = record.at;
    }
    text = text.slice(at);
    if (text.length > MAX_RECORD) {
      throw dataInvalid({ file, line, column: 1 }, "Expected CSV but a quote opens here, or in this line, that nothing closes");
    }
  }
}

/** The record that begins at `at`; undefined where its end is not there yet. */
function takeRecord(text: string, at: number, place: { file: string; line: number }): { fields: string[]; at: number } | undefined {
  const fields: string[] = [];
  FIELD.lastIndex = at;
  for (let from = at; ; from = FIELD.lastIndex) {
    const match = FIELD.exec(text);
    if (!match) {
      if (BEGUN.test(text.slice(from))) {
        return undefined;
      }
      const before = text.slice(at, from);
      const line = place.line + before.split("\n").length - 1;
      throw dataInvalid({ ...place, line, column: Buffer.byteLength(before.slice(before.lastIndexOf("\n") + 1)) + 1 }, "Expected a field of CSV, in quotes where it has quotes");
    }
    fields.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] !== ",") {
      return { fields, at: FIELD.lastIndex };
    }
  }
}
