import { types } from "node:util";
import { type DataPlace, dataInvalid, SdRpnError } from "../../base/errors.js";
import { throwIfAborted } from "../../base/abort.js";
import { openRegularFile, readFileRange } from "../../base/regular-file.js";
import { loadHyparquet } from "./hyparquet.js";
import { bytesOf, type ParquetData, type PictureCache, readPictures } from "./parquet-pictures.js";
import { DataRecord, type EmbeddedPicture } from "./record.js";

/** Rows whose values (not their pictures) are in memory at a time. */
const BATCH_ROWS = 1000;

export interface ParquetOptions {
  /** columns of strings that hold a picture in base64 */
  base64: ReadonlySet<string>;
  cache: PictureCache;
  signal?: AbortSignal;
}

/**
 * The records of a Parquet file, row group by row group. Pictures (structs with `bytes`, as Hugging Face exports them,
 * bytes, or base64) are read only when asked for. In places, the line is the row and the column is the number of the column.
 *
 * @throws {SdRpnError} DATA_INVALID for a file that is not Parquet; IO_ERROR; ABORTED
 */
export async function* readParquetFile(file: string, { base64, cache, signal }: ParquetOptions): AsyncGenerator<DataRecord> {
  const data = await openParquet(file, base64);
  const names = data.columns.map(({ name }) => name);
  const valueNames = data.columns.filter(({ picture }) => picture === null).map(({ name }) => name);
  const pictureNames = names.filter((name) => !valueNames.includes(name));

  for (const group of data.groups) {
    const empty = new Map<string, ReadonlySet<number>>();
    for (const name of pictureNames) {
      empty.set(name, await emptyCells(data, cache, name, group));
    }
    for (let start = group.start; start < group.end; start += BATCH_ROWS) {
      throwIfAborted(signal);
      const end = Math.min(start + BATCH_ROWS, group.end);
      const rows = valueNames.length > 0 ? await data.readRows(valueNames, start, end) : Array.from({ length: end - start }, () => ({}));
      for (const [index, row] of rows.entries()) {
        const position = start + index;
        const at = (column?: string): DataPlace => {
          const number = column === undefined ? 0 : names.indexOf(column);
          return number < 0 ? { file, line: 1, column: 1 } : { file, line: position + 1, column: number + 1 };
        };
        const pictures = new Map<string, EmbeddedPicture | null>();
        for (const name of pictureNames) {
          pictures.set(name, empty.get(name)?.has(position) ? null : { read: () => readOne(data, cache, name, position, at(name)) });
        }
        yield new DataRecord({ file, position, values: plain(row) as Record<string, unknown>, pictures, at });
      }
    }
  }
}

/** The rows of a group that have no picture; read from the statistics where these say that there are none. */
async function emptyCells(data: ParquetData, cache: PictureCache, name: string, group: ParquetData["groups"][number]): Promise<ReadonlySet<number>> {
  if (group.nulls(name) === 0) {
    return new Set();
  }
  const cells = await readPictures(data, cache, name, group.start);
  return new Set(cells.values.flatMap((value, index) => (bytesOf(value) === null ? [cells.start + index] : [])));
}

async function readOne(data: ParquetData, cache: PictureCache, name: string, row: number, place: DataPlace): Promise<Uint8Array> {
  const { start, values } = await readPictures(data, cache, name, row);
  const bytes = bytesOf(values[row - start], data.columns.find((column) => column.name === name)?.picture === "base64" ? place : undefined);
  if (bytes === null) {
    throw dataInvalid(place, `Expected a picture for ${name} but the cell is empty`);
  }
  return bytes;
}

async function openParquet(file: string, base64: ReadonlySet<string>): Promise<ParquetData> {
  const library = await loadHyparquet();
  const buffer = await openBuffer(file);
  return attempt(file, async () => {
    const metadata = await library.parquetMetadataAsync(buffer);
    const columns = library.parquetSchema(metadata).children.map(({ element, children }): ParquetData["columns"][number] => {
      const isText = element.converted_type === "UTF8" || element.logical_type?.type === "STRING";
      const bytes = element.type === "BYTE_ARRAY" && !isText;
      const struct = children.some((child) => child.element.name === "bytes" && child.element.type === "BYTE_ARRAY");
      return { name: element.name, picture: base64.has(element.name) && element.type === "BYTE_ARRAY" ? "base64" : bytes || struct ? "bytes" : null };
    });
    let start = 0;
    const groups = metadata.row_groups.map((group) => {
      const own = { start, end: start + Number(group.num_rows) };
      start = own.end;
      const chunks = (name: string) => group.columns.filter((chunk) => chunk.meta_data?.path_in_schema[0] === name && chunk.meta_data.path_in_schema[1] !== "path");
      return {
        ...own,
        nulls: (name: string) => chunks(name).reduce((sum, { meta_data: meta }) => sum + Number(meta?.statistics?.null_count ?? NaN), 0),
        size: (name: string) => chunks(name).reduce((sum, { meta_data: meta }) => sum + Number(meta?.total_uncompressed_size ?? 0), 0),
        indexed: (name: string) => chunks(name).every((chunk) => chunk.offset_index_offset !== undefined),
      };
    });
    const readRows = (names: string[], rowStart: number, rowEnd: number) =>
      attempt(file, () =>
        library.parquetReadObjects({ file: buffer, metadata, columns: names, rowStart, rowEnd, compressors: library.compressors, utf8: false, useOffsetIndex: true }),
      );
    return { file, columns, groups, readRows };
  });
}

/** The file as hyparquet reads it: opened for each piece, since a reader of items may stop at any time without closing it. */
async function openBuffer(file: string) {
  const read = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      throw new SdRpnError("IO_ERROR", `Cannot read the data file ${file}: ${(cause as Error).message}`, { cause });
    }
  };
  const byteLength = await read(async () => {
    await using handle = await openRegularFile(file, "read");
    return (await handle.stat()).size;
  });
  return {
    byteLength,
    slice: (start: number, end = byteLength) =>
      read(async () => new Uint8Array(await readFileRange(file, start, end - start)).buffer),
  };
}

async function attempt<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SdRpnError ? error : dataInvalid({ file, line: 1, column: 1 }, `Expected a Parquet file that can be read: ${(error as Error).message}`, error);
  }
}

/** Values as JSON would have them: integers as numbers, bytes as text. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  }
  if (types.isUint8Array(value)) {
    return Buffer.from(value).toString("utf8");
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
  }
  return value;
}
