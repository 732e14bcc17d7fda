import { SdRpnError } from "../base/errors.js";
import type { Size } from "../base/types.js";

/** Where in a sample a colour's bits are, at most 16: `shift` from below; as large as `most` it is full. */
export interface Mask {
  shift: number;
  most: number;
}

/** What stands before the pixels of a BMP file, or of a picture in an ICO file. */
export interface BmpHeader extends Size {
  topDown: boolean;
  bits: 1 | 4 | 8 | 16 | 24 | 32;
  rle: boolean;
  /** red, green and blue of each index; of 8 bits and less */
  palette: Uint8Array | null;
  /** red, green, blue, and alpha where there is one; of 16 and 32 bits */
  masks: Mask[] | null;
  /** where the pixels begin, for files that do not say it: behind the palette */
  end: number;
}

const [NONE, RLE8, RLE4, FIELDS, , , ALPHA_FIELDS] = [0, 1, 2, 3, 4, 5, 6];
const KNOWN = [12, 40, 52, 56, 64, 108, 124];
const CORE = 12;

/** Of a colour, from above: more do not change its level of 0..255. */
const MOST_BITS = 16;

/** @throws {SdRpnError} IMAGE_INVALID */
export function bmpInvalid(name: string, reason: string): SdRpnError {
  return new SdRpnError("IMAGE_INVALID", `Cannot decode the image (${name}): ${reason}; the file may be damaged or truncated`);
}

/**
 * Reads the header that begins at `at`, with masks and palette. Its size is not checked against any limit.
 *
 * @throws {SdRpnError} IMAGE_INVALID
 */
export function readBmpHeader(bytes: Buffer, at: number, name: string): BmpHeader {
  const size = at + 4 <= bytes.length ? bytes.readUInt32LE(at) : 0;
  if (!KNOWN.includes(size) || at + size > bytes.length) throw bmpInvalid(name, `its header is one of ${size} bytes`);
  const core = size === CORE;
  const width = core ? bytes.readUInt16LE(at + 4) : bytes.readInt32LE(at + 4);
  const height = core ? bytes.readUInt16LE(at + 6) : bytes.readInt32LE(at + 8);
  const bits = bytes.readUInt16LE(at + (core ? 10 : 14));
  const compression = core ? NONE : bytes.readUInt32LE(at + 16);
  if (width <= 0 || height === 0) throw bmpInvalid(name, `its size is ${width}x${height}`);
  if (!isDepth(bits) || !fits(compression, bits)) throw bmpInvalid(name, `${bits} bits a pixel with compression ${compression} are not supported`);

  const fields = compression === FIELDS || compression === ALPHA_FIELDS;
  // the older header has them behind it, the newer ones inside
  const outside = fields && size === 40 ? (compression === ALPHA_FIELDS ? 16 : 12) : 0;
  const colors = core ? 0 : bytes.readUInt32LE(at + 32);
  const entries = bits > 8 ? 0 : Math.min(colors || 1 << bits, 1 << bits);
  const paletteAt = at + size + outside;
  // a palette of full colours is a recommendation, to be skipped
  const end = paletteAt + (bits > 8 ? colors : entries) * (core ? 3 : 4);
  if (paletteAt + entries * (core ? 3 : 4) > bytes.length) throw bmpInvalid(name, "its palette ends early");
  const masks = bits === 16 || bits === 32 ? masksOf(fields ? fieldsOf(bytes, at, size, outside) : bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff], name) : null;
  const palette = bits > 8 ? null : paletteOf(bytes, paletteAt, entries, core ? 3 : 4);
  return { width, height: Math.abs(height), topDown: height < 0, bits, rle: compression === RLE8 || compression === RLE4, palette, masks, end };
}

function isDepth(bits: number): bits is BmpHeader["bits"] {
  return [1, 4, 8, 16, 24, 32].includes(bits);
}

function fits(compression: number, bits: number): boolean {
  if (compression === FIELDS || compression === ALPHA_FIELDS) return bits === 16 || bits === 32;
  return compression === NONE || (compression === RLE8 && bits === 8) || (compression === RLE4 && bits === 4);
}

function fieldsOf(bytes: Buffer, at: number, size: number, outside: number): number[] {
  const hasAlpha = outside === 16 || size >= 56;
  if (at + 40 + (hasAlpha ? 16 : 12) > bytes.length) return [0, 0, 0];
  const masks = [0, 1, 2, 3].slice(0, hasAlpha ? 4 : 3).map((i) => bytes.readUInt32LE(at + 40 + 4 * i));
  return masks[3] === 0 ? masks.slice(0, 3) : masks;
}

function masksOf(fields: readonly number[], name: string): Mask[] {
  return fields.map((field) => {
    const shift = field === 0 ? 0 : 31 - Math.clz32(field & -field);
    const most = field >>> shift;
    if (most === 0 || (most & (most + 1)) !== 0) throw bmpInvalid(name, "its colours' bits do not lie side by side");
    const spare = Math.max(0, 32 - Math.clz32(most) - MOST_BITS);
    return { shift: shift + spare, most: most >>> spare };
  });
}

/** 256 colours, so that an index that the file's palette does not have is black. */
function paletteOf(bytes: Buffer, at: number, entries: number, step: 3 | 4): Uint8Array {
  const palette = new Uint8Array(256 * 3);
  for (let i = 0; i < entries; i++) {
    const [blue, green, red] = bytes.subarray(at + i * step, at + i * step + 3);
    palette.set([red, green, blue], i * 3);
  }
  return palette;
}
