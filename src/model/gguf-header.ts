import type { FileHandle } from "node:fs/promises";
import { openRegularFile } from "../base/regular-file.js";

/** Scalars of a GGUF file's metadata by key; arrays are left out. */
export type GgufKeys = ReadonlyMap<string, string | number | boolean>;

const STRING = 8;
const ARRAY = 9;
/** bytes of a scalar by the format's number of its type */
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
/** A text that is longer, such as a chat template, is passed over: nothing that tells files apart is. */
const LONGEST_TEXT = 4096;
/** What counts of a file must not pass, so that a damaged one ends soon: of keys, of an array, of nested arrays. */
const MOST_KEYS = 65_536;
const MOST_ELEMENTS = 16 * 1024 * 1024;
const CHUNK = 1 << 16;

class Damaged extends Error {}

/**
 * The metadata of a GGUF file (versions 2 and 3), read from its beginning until `enough` says so or it ends; tensors are not touched, and of a
 * model of any size no more than its vocabulary is read.
 *
 * @returns undefined where the file is no GGUF file, or its metadata is damaged
 * @throws {Error} of the system, or one that says that it is no regular file
 */
export async function readGgufKeys(path: string, enough: (keys: GgufKeys) => boolean = () => false): Promise<GgufKeys | undefined> {
  await using handle = await openRegularFile(path, "read");
  const keys = new Map<string, string | number | boolean>();
  const reader = new Reader(handle);
  try {
    const magic = (await reader.take(4)).toString("latin1");
    const version = (await reader.take(4)).readUInt32LE();
    if (magic !== "GGUF" || version < 2 || version > 3) {
      return undefined;
    }
    reader.skip(8); // the number of tensors
    const count = await reader.count(MOST_KEYS);
    for (let n = 0; n < count && !enough(keys); n++) {
      const key = await reader.text();
      const value = await reader.value(await reader.type());
      if (key !== undefined && value !== undefined) {
        keys.set(key, value);
      }
    }
    return keys;
  } catch (error) {
    if (error instanceof Damaged) {
      return undefined;
    }
    throw error;
  }
}

/** Little-endian values one after the other. */
class Reader {
  private buffer = Buffer.alloc(0);
  /** in the file: of the buffer's first byte, and of the next value */
  private start = 0;
  private at = 0;

  constructor(private readonly handle: FileHandle) {}

  skip(bytes: number): void {
    this.at += bytes;
  }

  async take(bytes: number): Promise<Buffer> {
    if (this.at < this.start || this.at + bytes > this.start + this.buffer.length) {
      const wanted = Math.max(CHUNK, bytes);
      const { bytesRead, buffer } = await this.handle.read(Buffer.allocUnsafe(wanted), 0, wanted, this.at);
      this.buffer = buffer.subarray(0, bytesRead);
      this.start = this.at;
      if (bytesRead < bytes) {
        throw new Damaged("the file ends");
      }
    }
    const from = this.at - this.start;
    this.at += bytes;
    return this.buffer.subarray(from, from + bytes);
  }

  async type(): Promise<number> {
    return (await this.take(4)).readUInt32LE();
  }

  async count(most: number): Promise<number> {
    const count = (await this.take(8)).readBigUInt64LE();
    if (count > BigInt(most)) {
      throw new Damaged("a count that no file has");
    }
    return Number(count);
  }

  /** undefined for one that is passed over */
  async text(): Promise<string | undefined> {
    const length = await this.count(Number.MAX_SAFE_INTEGER - this.at);
    if (length > LONGEST_TEXT) {
      this.skip(length);
      return undefined;
    }
    return (await this.take(length)).toString("utf8");
  }

  async value(type: number): Promise<string | number | boolean | undefined> {
    if (type === STRING) {
      return this.text();
    }
    if (type === ARRAY) {
      return this.passArray(0);
    }
    const bytes = await this.take(sizeOf(type));
    switch (type) {
      case 0: return bytes.readUInt8();
      case 1: return bytes.readInt8();
      case 2: return bytes.readUInt16LE();
      case 3: return bytes.readInt16LE();
      case 4: return bytes.readUInt32LE();
      case 5: return bytes.readInt32LE();
      case 6: return bytes.readFloatLE();
      case 7: return bytes.readUInt8() !== 0;
      case 10: return Number(bytes.readBigUInt64LE());
      case 11: return Number(bytes.readBigInt64LE());
      default: return bytes.readDoubleLE();
    }
  }

  private async passArray(depth: number): Promise<undefined> {
    const of = await this.type();
    const count = await this.count(MOST_ELEMENTS);
    if (of === STRING) {
      for (let n = 0; n < count; n++) {
        const length = await this.count(Number.MAX_SAFE_INTEGER - this.at);
        this.skip(length);
      }
    } else if (of === ARRAY) {
      if (depth > 0) {
        throw new Damaged("arrays of arrays of arrays");
      }
      for (let n = 0; n < count; n++) {
        await this.passArray(depth + 1);
      }
    } else {
      this.skip(count * sizeOf(of));
    }
  }
}

function sizeOf(type: number): number {
  const size = SIZES[type];
  if (size === undefined) {
    throw new Damaged("a type that the format does not have");
  }
  return size;
}
