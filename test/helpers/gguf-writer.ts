import { readFileSync, writeFileSync } from "node:fs";

// GGUF version 3, little-endian: header, key-value pairs, tensor infos, padding, tensor data.

/** The format's numbers of the value types, in their order. */
const TYPES = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"] as const;
export type ScalarType = Exclude<(typeof TYPES)[number], "array">;
export type Scalar = number | bigint | boolean | string;
export type MetaValue = { type: ScalarType; value: Scalar } | { type: "array"; of: ScalarType; values: Scalar[] };

/** ggml's numbers of the tensor types that the tests write. */
export const TENSOR_TYPE = { f32: 0, f16: 1, i32: 26 } as const;

export interface GgufTensor {
  name: string;
  /** fastest axis first, as ggml has it */
  shape: number[];
  /** ggml's number of the type */
  type: number;
  data: Uint8Array;
}

export interface Gguf {
  metadata: Map<string, MetaValue>;
  tensors: GgufTensor[];
}

const ALIGNMENT = 32;

export const u32 = (value: number): MetaValue => ({ type: "u32", value });
export const f32 = (value: number): MetaValue => ({ type: "f32", value });
export const bool = (value: boolean): MetaValue => ({ type: "bool", value });
export const str = (value: string): MetaValue => ({ type: "string", value });
export const array = (of: ScalarType, values: Scalar[]): MetaValue => ({ type: "array", of, values });

export function f32Tensor(name: string, shape: number[], values: ArrayLike<number>): GgufTensor {
  return { name, shape, type: TENSOR_TYPE.f32, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** Where the parts of a file end, for tests that cut it. */
export interface GgufLayout {
  metadataEnd: number;
  dataStart: number;
}

export function writeGguf(path: string, gguf: Gguf): void {
  writeFileSync(path, encodeGguf(gguf));
}

export function readGguf(path: string): Gguf & { layout: GgufLayout } {
  return new Reader(readFileSync(path)).read();
}

export function encodeGguf({ metadata, tensors }: Gguf): Buffer {
  const parts: Buffer[] = [Buffer.from("GGUF"), scalar("u32", 3), scalar("u64", tensors.length), scalar("u64", metadata.size)];
  for (const [key, value] of metadata) {
    parts.push(scalar("string", key), scalar("u32", TYPES.indexOf(value.type)));
    if (value.type === "array") {
      parts.push(scalar("u32", TYPES.indexOf(value.of)), scalar("u64", value.values.length));
      parts.push(Buffer.concat(value.values.map((item) => scalar(value.of, item))));
    } else {
      parts.push(scalar(value.type, value.value));
    }
  }
  let offset = 0;
  for (const { name, shape, type, data } of tensors) {
    parts.push(scalar("string", name), scalar("u32", shape.length), ...shape.map((n) => scalar("u64", n)));
    parts.push(scalar("u32", type), scalar("u64", offset));
    offset += align(data.length);
  }
  const header = Buffer.concat(parts);
  const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes], align(bytes.length));
  return Buffer.concat([padded(header), ...tensors.map(({ data }) => padded(data))]);
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function scalar(type: ScalarType, value: Scalar): Buffer {
  if (type === "string") {
    const text = Buffer.from(value as string);
    return Buffer.concat([scalar("u64", text.length), text]);
  }
  const bytes = Buffer.alloc(8);
  const end = WRITERS[type](bytes, value);
  return bytes.subarray(0, end);
}

const WRITERS: Record<Exclude<ScalarType, "string">, (bytes: Buffer, value: Scalar) => number> = {
  u8: (bytes, value) => bytes.writeUInt8(Number(value)),
  i8: (bytes, value) => bytes.writeInt8(Number(value)),
  u16: (bytes, value) => bytes.writeUInt16LE(Number(value)),
  i16: (bytes, value) => bytes.writeInt16LE(Number(value)),
  u32: (bytes, value) => bytes.writeUInt32LE(Number(value)),
  i32: (bytes, value) => bytes.writeInt32LE(Number(value)),
  f32: (bytes, value) => bytes.writeFloatLE(Number(value)),
  bool: (bytes, value) => bytes.writeUInt8(Number(value)),
  u64: (bytes, value) => bytes.writeBigUInt64LE(BigInt(value)),
  i64: (bytes, value) => bytes.writeBigInt64LE(BigInt(value)),
  f64: (bytes, value) => bytes.writeDoubleLE(Number(value)),
};

class Reader {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  read(): Gguf & { layout: GgufLayout } {
    this.at = 8; // magic and version
    const tensorCount = Number(this.scalar("u64"));
    const keyCount = Number(this.scalar("u64"));
    const metadata = new Map<string, MetaValue>();
    for (let i = 0; i < keyCount; i++) {
      metadata.set(this.scalar("string") as string, this.value());
    }
    const metadataEnd = this.at;
    const infos = Array.from({ length: tensorCount }, () => this.tensorInfo());
    const dataStart = align(this.at);
    // a tensor's bytes reach to the next one, padding included, so that sizes of types need not be known
    const tensors = infos.map(({ name, shape, type, offset }) => {
      const next = Math.min(this.bytes.length - dataStart, ...infos.map((other) => other.offset).filter((other) => other > offset));
      return { name, shape, type, data: this.bytes.subarray(dataStart + offset, dataStart + next) };
    });
    return { metadata, tensors, layout: { metadataEnd, dataStart } };
  }

  private value(): MetaValue {
    const type = this.type();
    if (type !== "array") {
      return { type, value: this.scalar(type) };
    }
    const of = this.type() as ScalarType;
    const length = Number(this.scalar("u64"));
    return { type, of, values: Array.from({ length }, () => this.scalar(of)) };
  }

  private tensorInfo(): { name: string; shape: number[]; type: number; offset: number } {
    const name = this.scalar("string") as string;
    const dimensions = Number(this.scalar("u32"));
    const shape = Array.from({ length: dimensions }, () => Number(this.scalar("u64")));
    return { name, shape, type: Number(this.scalar("u32")), offset: Number(this.scalar("u64")) };
  }

  private type(): (typeof TYPES)[number] {
    return TYPES[Number(this.scalar("u32"))];
  }

  private scalar(type: ScalarType): Scalar {
    const { bytes, at } = this;
    const advance = (size: number): number => ((this.at += size), at);
    switch (type) {
      case "u8":
        return bytes.readUInt8(advance(1));
      case "i8":
        return bytes.readInt8(advance(1));
      case "bool":
        return bytes.readUInt8(advance(1)) !== 0;
      case "u16":
        return bytes.readUInt16LE(advance(2));
      case "i16":
        return bytes.readInt16LE(advance(2));
      case "u32":
        return bytes.readUInt32LE(advance(4));
      case "i32":
        return bytes.readInt32LE(advance(4));
      case "f32":
        return bytes.readFloatLE(advance(4));
      case "u64":
        return bytes.readBigUInt64LE(advance(8));
      case "i64":
        return bytes.readBigInt64LE(advance(8));
      case "f64":
        return bytes.readDoubleLE(advance(8));
      case "string": {
        const length = Number(bytes.readBigUInt64LE(advance(8)));
        this.at += length;
        return bytes.toString("utf8", at + 8, at + 8 + length);
      }
    }
  }
}
