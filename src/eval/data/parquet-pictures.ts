import { types } from "node:util";
import type { DataPlace } from "../../base/errors.js";
import { decodeBase64 } from "./base64.js";

/** Groups with more bytes of pictures than this are read row by row, if the file has a page index. */
const MAX_GROUP_BYTES = 512 * 1024 * 1024;

/** An open Parquet file. Rows count from 0 over the whole file. */
export interface ParquetData {
  file: string;
  columns: { name: string; picture: "bytes" | "base64" | null }[];
  groups: {
    start: number;
    end: number;
    /** number of empty cells of a column, NaN where the file does not have it */
    nulls(name: string): number;
    /** uncompressed bytes of a column */
    size(name: string): number;
    /** whether single rows of a column can be read */
    indexed(name: string): boolean;
  }[];
  readRows(names: string[], start: number, end: number): Promise<Record<string, unknown>[]>;
}

/** Cells of a column, from row `start` on. */
export interface PictureCells {
  start: number;
  values: unknown[];
}

/**
 * A cache of the pictures read last, one row group: a column is decoded in groups, and questions come in the order of the
 * data. Shared by all files of a data set.
 */
export class PictureCache {
  private key = "";
  private cells: Promise<PictureCells> | undefined;

  get(key: string, read: () => Promise<PictureCells>): Promise<PictureCells> {
    if (this.cells === undefined || this.key !== key) {
      this.key = key;
      this.cells = read();
      this.cells.catch(() => (this.key = "")); // the next call tries again
    }
    return this.cells;
  }
}

/** The cells of a column around `row`: those of its row group, or only its own where the group is too large. */
export function readPictures(data: ParquetData, cache: PictureCache, name: string, row: number): Promise<PictureCells> {
  const index = data.groups.findIndex(({ end }) => row < end);
  const group = data.groups[index];
  const alone = group.size(name) > MAX_GROUP_BYTES && group.indexed(name);
  const [start, end] = alone ? [row, row + 1] : [group.start, group.end];
  return cache.get(`${data.file}\0${name}\0${start}`, async () => {
    const rows = await data.readRows([name], start, end);
    return { start, values: rows.map((cells) => cells[name]) };
  });
}

/** The picture's bytes in a cell, or null where it has none. With `base64`, the place of the cell, the cell is text. */
export function bytesOf(cell: unknown, base64?: DataPlace): Uint8Array | null {
  const value: unknown = typeof cell === "object" && cell !== null && "bytes" in cell ? cell.bytes : cell;
  if (!(typeof value === "string" || types.isUint8Array(value)) || value.length === 0) {
    return null;
  }
  if (base64) {
    return decodeBase64(typeof value === "string" ? value : Buffer.from(value).toString("latin1"), base64);
  }
  return typeof value === "string" ? Buffer.from(value, "latin1") : value;
}
