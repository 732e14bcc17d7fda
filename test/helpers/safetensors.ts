import { readFileSync, writeFileSync } from "node:fs";

export interface FloatTensor {
  /** slowest axis first */
  shape: number[];
  data: Float32Array;
}

/** The f32 tensors of a safetensors file: a length, a JSON header with byte ranges, and the data. */
export function readSafetensors(path: string): Map<string, FloatTensor> {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, start)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const tensors = new Map<string, FloatTensor>();
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    if (dtype === "F32") {
      tensors.set(name, { shape, data: new Float32Array(Uint8Array.from(bytes.subarray(start + from, start + to)).buffer) });
    }
  }
  return tensors;
}

/** |actual - expected| / |expected|, Euclidean norms. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new Error(`${actual.length} values where ${expected.length} were expected`);
  }
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

export interface RawTensor {
  /** slowest axis first */
  shape: number[];
  dtype: "F32" | "F16" | "BF16";
  data: Uint8Array;
}

/** All tensors of a safetensors file, as bytes. */
export function readRawSafetensors(path: string): Map<string, RawTensor> {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, start)) as Record<string, RawTensor & { data_offsets: [number, number] }>;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== "__metadata__")
      .map(([name, { dtype, shape, data_offsets: [from, to] }]) => [name, { dtype, shape, data: bytes.subarray(start + from, start + to) }]),
  );
}

export function writeSafetensors(path: string, tensors: Iterable<[string, RawTensor]>): void {
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    parts.push(data);
    at += data.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...parts]));
}
