import { type DataPlace, dataInvalid } from "../../base/errors.js";

/** A picture inside a data file. Reading it reads the file again; nothing is cached here. */
export interface EmbeddedPicture {
  /** the encoded bytes, as in a picture file */
  read(): Promise<Uint8Array>;
  /** a digest of the bytes, where the reader has computed one; without it the picture counts as different from all others */
  key?: string;
}

export interface RecordSource {
  file: string;
  /** of the record in its file, from 0 */
  position: number;
  values: Readonly<Record<string, unknown>>;
  /** of the picture columns; null where the cell is empty */
  pictures?: ReadonlyMap<string, EmbeddedPicture | null>;
  /** the place of the value of a column, or of the record itself; for a missing column, where it should be */
  at(column?: string): DataPlace;
}

/**
 * One record of a data file (a line, an element, a row), read by column. A column may have several names; the first one
 * that exists is used. A missing value or one of another type is DATA_INVALID with its place.
 */
export class DataRecord {
  readonly file: string;
  readonly position: number;

  constructor(private readonly source: RecordSource) {
    this.file = source.file;
    this.position = source.position;
  }

  has(...names: string[]): boolean {
    return this.find(names) !== undefined;
  }

  /** a string; a number is converted */
  text(...names: string[]): string {
    return asText(this.required(names)) ?? this.fail(names, "a string");
  }

  optionalText(...names: string[]): string | undefined {
    return this.has(...names) ? this.text(...names) : undefined;
  }

  /** a string that is not blank */
  filledText(...names: string[]): string {
    const text = this.text(...names);
    return text.trim() === "" ? this.fail(names, "a non-empty string") : text;
  }

  /** a list of strings; a single string counts as a list of one */
  texts(...names: string[]): string[] {
    const value = this.required(names);
    const list = (Array.isArray(value) ? value : [value]).map(asText);
    return list.length > 0 && list.every((item) => item !== undefined) ? list : this.fail(names, "a string or a list of strings");
  }

  optionalTexts(...names: string[]): string[] {
    return this.has(...names) ? this.texts(...names) : [];
  }

  raw(...names: string[]): unknown {
    const name = this.find(names);
    return name === undefined ? undefined : this.source.values[name];
  }

  /** undefined: no such picture column; null: the column is there, its cell empty */
  picture(...names: string[]): EmbeddedPicture | null | undefined {
    const { pictures } = this.source;
    const name = names.find((candidate) => pictures?.has(candidate));
    return name === undefined ? undefined : pictures?.get(name);
  }

  at(...names: string[]): DataPlace {
    const { values, pictures } = this.source;
    return this.source.at(names.find((name) => name in values || pictures?.has(name)) ?? names[0]);
  }

  /** "Expected a string for question but received null" as DATA_INVALID, at its place */
  fail(names: readonly string[], expected: string): never {
    const name = names.find((candidate) => candidate in this.source.values) ?? names[0];
    throw dataInvalid(this.at(...names), `Expected ${expected} for ${name} but received ${describe(this.source.values[name])}`);
  }

  private required(names: readonly string[]): unknown {
    const name = this.find(names);
    if (name !== undefined) {
      return this.source.values[name];
    }
    if (names.some((candidate) => candidate in this.source.values)) {
      this.fail(names, "a value");
    }
    const there = [...Object.keys(this.source.values), ...(this.source.pictures?.keys() ?? [])];
    throw dataInvalid(this.source.at(names[0]), `Expected the column ${names.join(" or ")} but there ${there.length === 0 ? "is none" : `are only ${there.slice(0, 12).join(", ")}`}`);
  }

  /** the first name that has a value */
  private find(names: readonly string[]): string | undefined {
    return names.find((name) => this.source.values[name] !== undefined && this.source.values[name] !== null);
  }
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

function describe(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part)) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
