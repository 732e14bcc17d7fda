import { createHash } from "node:crypto";
import { type DataPlace, dataInvalid, SdRpnError } from "../../base/errors.js";
import { readFileRange } from "../../base/regular-file.js";
import { decodeBase64 } from "./base64.js";
import { DataRecord, type EmbeddedPicture } from "./record.js";
import { readTsvRows, type TsvCell, type TsvRow } from "./tsv-rows.js";

/**
 * The records of a file of tab-separated values whose first row names the columns, read row by row. Cells of `pictures`
 * columns hold a picture in base64; only their place is kept, and a digest, since HR-Bench repeats its pictures.
 *
 * @throws {SdRpnError} DATA_INVALID for a row of another length, cells that are not UTF-8, duplicate names; IO_ERROR; ABORTED
 */
export async function* readTsvFile(file: string, pictures: ReadonlySet<string>, signal?: AbortSignal): AsyncGenerator<DataRecord> {
  let names: string[] | undefined;
  let position = 0;
  for await (const row of readTsvRows(file, signal)) {
    if (names === undefined) {
      names = readNames(row, file);
    } else if (row.cells.length > 1 || row.cells[0].bytes.length > 0) {
      yield readRecord(row, names, pictures, file, position++);
    }
  }
}

function readNames(row: TsvRow, file: string): string[] {
  const names = row.cells.map((cell) => decode(cell, row, file).replace(/^\uFEFF/, "").trim());
  names.forEach((name, index) => {
    if (names.indexOf(name) < index) {
      throw dataInvalid(placeOf(row.cells[index], row, file), `Expected each column once but ${name} occurs twice`);
    }
  });
  return names;
}

function readRecord(row: TsvRow, names: readonly string[], pictureNames: ReadonlySet<string>, file: string, position: number): DataRecord {
  const { cells, line } = row;
  if (cells.length !== names.length) {
    throw dataInvalid(placeOf(cells[Math.min(names.length, cells.length - 1)], row, file), `Expected ${names.length} cells, as the first row has, but there are ${cells.length}`);
  }
  const values: Record<string, string | null> = {};
  const pictures = new Map<string, EmbeddedPicture | null>();
  names.forEach((name, index) => {
    const cell = cells[index];
    if (pictureNames.has(name)) {
      pictures.set(name, cell.bytes.length === 0 ? null : pictureOf(cell, placeOf(cell, row, file)));
    } else {
      values[name] = cell.bytes.length === 0 ? null : decode(cell, row, file);
    }
  });
  const columns = cells.map(({ column }) => column);
  const at = (name?: string): DataPlace => {
    const index = name === undefined ? 0 : names.indexOf(name);
    // the first row has no cell for a missing column
    return index < 0 ? { file, line: 1, column: 1 } : { file, line, column: columns[index] };
  };
  return new DataRecord({ file, position, values, pictures, at });
}

/** Does not keep the cell's bytes. */
function pictureOf({ bytes, offset }: TsvCell, place: DataPlace): EmbeddedPicture {
  const { length } = bytes;
  return {
    key: createHash("sha1").update(bytes).digest("hex").slice(0, 16),
    read: async () => decodeBase64((await readRange(place.file, offset, length)).toString("latin1"), place),
  };
}

async function readRange(file: string, offset: number, length: number): Promise<Buffer> {
  try {
    return await readFileRange(file, offset, length);
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the data file ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function decode(cell: TsvCell, row: TsvRow, file: string): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(cell.bytes);
    return cell.quoted ? text.replaceAll('""', '"') : text;
  } catch (error) {
    throw dataInvalid(placeOf(cell, row, file), "Expected UTF-8 but received bytes that are not valid UTF-8", error);
  }
}

function placeOf({ column }: TsvCell, { line }: TsvRow, file: string): DataPlace {
  return { file, line, column };
}
