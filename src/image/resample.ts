import { setImmediate as nextTurn } from "node:timers/promises";
import type { Box, Size } from "../types.js";

/** Decoded pixels: RGB, row-major, 8 bits a channel, no padding between rows. */
export interface RgbPixels extends Size {
  data: Uint8Array;
  channels: 3;
}

export type Color = readonly [red: number, green: number, blue: number];

export type Filter = "bicubic" | "bilinear";

/** Radius in source pixels at scale 1, and weight at a distance. Bicubic is Catmull-Rom, a = -0.5. */
const FILTERS: Record<Filter, { radius: number; weight: (distance: number) => number }> = {
  bicubic: {
    radius: 2,
    weight: (distance) => {
      const x = Math.abs(distance);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
  bilinear: { radius: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
};

/** Fraction bits of a weight: 8-bit samples times weights, summed, then still fit 32 bits. */
const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

// Looked up once: a global is slow to reach from the inner loops where code runs in a vm context.
const { imul } = Math;

/** How long the event loop may be kept waiting, in milliseconds. */
const SLICE_MS = 8;

/** Fixed-point weights of one axis: output i reads `count[i]` samples of the source from `start[i]` on. */
interface Taps {
  start: Int32Array;
  count: Int32Array;
  /** `stride` weights an output, of which the first `count[i]` are used */
  weights: Int32Array;
  stride: number;
  /** total weight of the samples that lie outside the source, and so have the fill colour */
  outside: Int32Array;
}

/**
 * Scales the part of a picture under `window` to `side` x `side` pixels, each axis on its own.
 *
 * `window` is in whole pixels of the picture and may reach over its borders, where everything has the colour `fill`; it is
 * never built in memory. The arithmetic is that of Pillow's `Image.resize`, bit for bit: filters widened when scaling
 * down, weights cut at the window's border and normalized, 22-bit fixed point, horizontal pass first and rounded to 8
 * bits. libvips' kernels are not: they shrink by a box filter first, place samples on a grid of 1/64 pixel, and are
 * off by half a pixel where just one axis is enlarged.
 *
 * The work is done in slices of {@link SLICE_MS} with a turn of the event loop between them.
 *
 * @returns RGB, side * side * 3 bytes
 */
export async function resample(source: RgbPixels, window: Box, side: number, filter: Filter, fill: Color = [0, 0, 0]): Promise<Buffer> {
  const columns = computeTaps(window.x, window.width, source.width, side, filter);
  const rows = computeTaps(window.y, window.height, source.height, side, filter);
  const firstRow = Math.max(0, window.y);
  const rowCount = Math.min(source.height, window.y + window.height) - firstRow;
  const pause = pacer();

  const length = side * 3;
  const narrowed = new Uint8Array(rowCount * length);
  for (let y = 0; y < rowCount; y++) {
    scaleRow(source.data, (firstRow + y) * source.width * 3, columns, fill, narrowed, y * length);
    await pause();
  }
  const result = Buffer.allocUnsafe(side * length);
  const sums = new Int32Array(length);
  for (let y = 0; y < side; y++) {
    mixRows(narrowed, firstRow, rows, y, fill, sums);
    for (let i = 0; i < length; i++) result[y * length + i] = clampToByte(sums[i]);
    await pause();
  }
  return result;
}

/**
 * Weights that scale `inner` samples to `outer`, where sample 0 is at `offset` in a source of `available` samples.
 */
function computeTaps(offset: number, inner: number, available: number, outer: number, filter: Filter): Taps {
  const { radius, weight } = FILTERS[filter];
  const scale = inner / outer;
  const widening = Math.max(1, scale);
  const support = radius * widening;
  const stride = Math.ceil(support) * 2 + 1;
  const taps: Taps = {
    start: new Int32Array(outer),
    count: new Int32Array(outer),
    weights: new Int32Array(outer * stride),
    stride,
    outside: new Int32Array(outer),
  };
  for (let i = 0; i < outer; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(inner, Math.trunc(center + support + 0.5));
    const exact: number[] = [];
    for (let x = first; x < last; x++) exact.push(weight((x - center + 0.5) / widening));
    const total = exact.reduce((sum, value) => sum + value, 0);

    taps.start[i] = Math.min(available, Math.max(0, first + offset));
    for (let x = first; x < last; x++) {
      const scaled = (exact[x - first] / total) * 2 ** PRECISION;
      const fixed = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
      if (x + offset < 0 || x + offset >= available) taps.outside[i] += fixed;
      else taps.weights[i * stride + taps.count[i]++] = fixed;
    }
  }
  return taps;
}

/** The horizontal pass over one row of the source. */
function scaleRow(data: Uint8Array, rowStart: number, taps: Taps, fill: Color, out: Uint8Array, outStart: number): void {
  const { start, count, weights, stride, outside } = taps;
  const [fillRed, fillGreen, fillBlue] = fill;
  for (let i = 0; i < start.length; i++) {
    let red = HALF + outside[i] * fillRed;
    let green = HALF + outside[i] * fillGreen;
    let blue = HALF + outside[i] * fillBlue;
    let at = rowStart + start[i] * 3;
    const end = i * stride + count[i];
    for (let k = i * stride; k < end; k++, at += 3) {
      const weight = weights[k];
      red = (red + imul(weight, data[at])) | 0;
      green = (green + imul(weight, data[at + 1])) | 0;
      blue = (blue + imul(weight, data[at + 2])) | 0;
    }
    const to = outStart + i * 3;
    out[to] = clampToByte(red);
    out[to + 1] = clampToByte(green);
    out[to + 2] = clampToByte(blue);
  }
}

/** The vertical pass for output row `y`: leaves fixed-point sums. Rows outside the source consist of the fill colour. */
function mixRows(narrowed: Uint8Array, firstRow: number, taps: Taps, y: number, fill: Color, sums: Int32Array): void {
  for (let i = 0; i < sums.length; i += 3) {
    for (let c = 0; c < 3; c++) sums[i + c] = HALF + taps.outside[y] * fill[c];
  }
  for (let k = 0; k < taps.count[y]; k++) {
    const weight = taps.weights[y * taps.stride + k];
    const at = (taps.start[y] - firstRow + k) * sums.length;
    for (let i = 0; i < sums.length; i++) sums[i] += imul(weight, narrowed[at + i]);
  }
}

function clampToByte(sum: number): number {
  const value = sum >> PRECISION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** A function to call between pieces of work: it lets the event loop turn when the time slice has been used up. */
function pacer(): () => Promise<void> | undefined {
  let sliceEnd = performance.now() + SLICE_MS;
  return () => {
    if (performance.now() < sliceEnd) return undefined;
    return nextTurn().then(() => {
      sliceEnd = performance.now() + SLICE_MS;
    });
  };
}
