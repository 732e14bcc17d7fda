import { setImmediate } from "node:timers/promises";
import { throwIfAborted } from "../base/abort.js";
import { type BmpHeader, bmpInvalid, type Mask, readBmpHeader } from "./bmp-header.js";
import type { Decoded, Read } from "./decoded.js";
import { checkImageSize, checkPage } from "./limits.js";

/** Decoding lets the event loop go on after so many milliseconds. */
const SLICE_MS = 10;

export interface BmpOptions {
  page: number;
  maxPixels: number;
  signal?: AbortSignal;
}

/**
 * A Windows or OS/2 bitmap: 1, 4, 8, 16, 24 or 32 bits a pixel, bit fields, RLE4 and RLE8, bottom up or top down. Alpha counts where the
 * header has a mask for it.
 *
 * @throws {SdRpnError} IMAGE_INVALID; IMAGE_TOO_LARGE before memory is taken; INVALID_ARGUMENT for another page than 0; ABORTED
 */
export async function readBmp(bytes: Buffer, name: string, { page, maxPixels, signal }: BmpOptions): Promise<Read> {
  checkPage(page, 1);
  const header = readBmpHeader(bytes, 14, name);
  checkImageSize(header, maxPixels);
  const pixels = await decodeBmp(header, bytes.subarray(Math.min(bytes.length, bytes.readUInt32LE(10) || header.end)), name, signal);
  return { pixels, pages: 1, hints: [] };
}

/** The pixels that `data` begins with. @throws {SdRpnError} IMAGE_INVALID where it ends early; ABORTED */
export async function decodeBmp(header: BmpHeader, data: Uint8Array, name: string, signal?: AbortSignal): Promise<Decoded> {
  const { width, height, rle } = header;
  if (!rle && data.length < strideOf(width, header.bits) * height) throw bmpInvalid(name, "its pixels end early");
  const channels = header.masks?.length === 4 ? 4 : 3;
  const out = new Uint8Array(width * height * channels);
  const steps = rle ? rleSteps(header, data, out, name) : rowSteps(header, data, out);
  let begun = performance.now();
  for (const _ of steps) {
    if (performance.now() - begun > SLICE_MS) {
      await setImmediate();
      throwIfAborted(signal);
      begun = performance.now();
    }
  }
  return { data: out, width, height, channels };
}

/** Bytes of a row, which ends at a multiple of four. */
export function strideOf(width: number, bits: number): number {
  return Math.ceil((width * bits) / 32) * 4;
}

/** Row by row: each `yield` is a place to pause. */
function* rowSteps(header: BmpHeader, data: Uint8Array, out: Uint8Array): Generator<void> {
  const { width, height, topDown, bits, palette, masks } = header;
  const stride = strideOf(width, bits);
  const toRgb = palette ? paletteRow(palette, bits) : masks ? maskRow(masks, bits / 8) : bgrRow;
  const channels = masks?.length === 4 ? 4 : 3;
  for (let y = 0; y < height; y++) {
    const row = topDown ? y : height - 1 - y;
    toRgb(data.subarray(row * stride, (row + 1) * stride), out.subarray(y * width * channels, (y + 1) * width * channels), width);
    yield;
  }
}

type RowReader = (row: Uint8Array, out: Uint8Array, width: number) => void;

const bgrRow: RowReader = (row, out, width) => {
  for (let i = 0; i < 3 * width; i += 3) {
    out[i] = row[i + 2];
    out[i + 1] = row[i + 1];
    out[i + 2] = row[i];
  }
};

function paletteRow(palette: Uint8Array, bits: number): RowReader {
  const [perByte, mask] = [8 / bits, (1 << bits) - 1];
  return (row, out, width) => {
    for (let x = 0; x < width; x++) {
      const shift = 8 - bits - (x % perByte) * bits;
      const from = 3 * ((row[Math.floor(x / perByte)] >> shift) & mask);
      out[3 * x] = palette[from];
      out[3 * x + 1] = palette[from + 1];
      out[3 * x + 2] = palette[from + 2];
    }
  };
}

function maskRow(masks: readonly Mask[], bytesPerPixel: number): RowReader {
  const channels = masks.map(({ shift, most }) => ({ shift, most, levels: levelsOf(most) }));
  return (row, out, width) => {
    for (let x = 0, to = 0; x < width; x++) {
      const at = x * bytesPerPixel;
      const low = row[at] | (row[at + 1] << 8);
      const sample = bytesPerPixel === 2 ? low : low | (row[at + 2] << 16) | (row[at + 3] << 24);
      for (const { shift, most, levels } of channels) out[to++] = levels[(sample >>> shift) & most];
    }
  };
}

/** 0..255 for each of 0..most. */
function levelsOf(most: number): Uint8Array {
  return Uint8Array.from({ length: most + 1 }, (_, level) => Math.round((level * 255) / most));
}

/** Runs of equal and of different indexes, bottom up. What no run covers has index 0; what lies outside of the picture is left out. */
function* rleSteps({ width, height, bits, palette }: BmpHeader, data: Uint8Array, out: Uint8Array, name: string): Generator<void> {
  const colors = palette!;
  for (let i = 0; i < out.length; i += 3) {
    if (i % (3 * 65536) === 0) yield;
    out[i] = colors[0];
    out[i + 1] = colors[1];
    out[i + 2] = colors[2];
  }
  let [x, y, at] = [0, 0, 0];
  const set = (index: number): void => {
    if (x < width) out.set(colors.subarray(3 * index, 3 * index + 3), 3 * ((height - 1 - y) * width + x));
    x++;
  };
  while (y < height) {
    yield;
    if (at + 2 > data.length) throw bmpInvalid(name, "its pixels end early");
    const [count, value] = [data[at], data[at + 1]];
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) set(bits === 8 ? value : (value >> (i % 2 === 0 ? 4 : 0)) & 15);
    } else if (value === 0) {
      [x, y] = [0, y + 1];
    } else if (value === 1) {
      return;
    } else if (value === 2) {
      if (at + 2 > data.length) throw bmpInvalid(name, "its pixels end early");
      [x, y, at] = [x + data[at], y + data[at + 1], at + 2];
    } else {
      const length = Math.ceil((value * bits) / 8);
      if (at + length > data.length) throw bmpInvalid(name, "its pixels end early");
      for (let i = 0; i < value; i++) set(bits === 8 ? data[at + i] : (data[at + (i >> 1)] >> (i % 2 === 0 ? 4 : 0)) & 15);
      at += length + (length % 2);
    }
  }
}
