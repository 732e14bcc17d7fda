// Windows bitmaps and icons, written here byte by byte. The same kinds of files, read by Pillow 13, have the same pixels, but for 16 bits, which it rounds down.
import sharp from "sharp";
import { openPicture } from "../../src/image/picture";
import { takePicture } from "../../src/image/taken-picture";
import type { ImageOptions } from "../../src/base/types";

const [W, H] = [11, 5];
const LEVELS = [0, 64, 128, 255];
const rgb = (x: number, y: number): number[] => [10 * x, 50 * y, 255 - 20 * x];
const index = (x: number, y: number): number => (3 * x + 5 * y) % 16;
const colorOf = (i: number): number[] => [i * 16, 255 - i, i * 3];

const padded = (row: number[]): number[] => [...row, ...Array.from({ length: (4 - (row.length % 4)) % 4 }, () => 0)];
const rowsOf = (row: (y: number) => number[], from: "below" | "above" = "below"): number[] => Array.from({ length: H }, (_, i) => padded(row(from === "below" ? H - 1 - i : i))).flat();
const each = (of: (x: number) => number[]) => Array.from({ length: W }, (_, x) => of(x)).flat();
const palette = (entries: number): number[] => Array.from({ length: entries }, (_, i) => [...colorOf(i).reverse(), 0]).flat();

interface Parts {
  bits: number;
  rows: number[];
  width?: number;
  height?: number;
  compression?: number;
  colors?: number[];
  /** dwords behind a header of 40 bytes */
  masks?: number[];
  /** of the header, with masks inside */
  size?: number;
}

function headerOf({ bits, width = W, height = H, compression = 0, colors = [], masks = [], size = 40 }: Parts): Buffer {
  const header = Buffer.alloc(Math.max(size, 40 + 4 * masks.length));
  header.writeUInt32LE(size, 0);
  header.writeInt32LE(width, 4);
  header.writeInt32LE(height, 8);
  header.writeUInt16LE(1, 12);
  header.writeUInt16LE(bits, 14);
  header.writeUInt32LE(compression, 16);
  header.writeUInt32LE(bits > 8 ? 0 : colors.length / 4, 32);
  masks.forEach((mask, i) => header.writeUInt32LE(mask, 40 + 4 * i));
  return header;
}

function bmp(parts: Parts): Buffer {
  const front = Buffer.concat([headerOf(parts), Buffer.from(parts.colors ?? [])]);
  const file = Buffer.alloc(14);
  file.write("BM");
  file.writeUInt32LE(14 + front.length + parts.rows.length, 2);
  file.writeUInt32LE(14 + front.length, 10);
  return Buffer.concat([file, front, Buffer.from(parts.rows)]);
}

function ico(pictures: { width: number; height: number; bits: number; data: Buffer }[]): Buffer {
  const list = Buffer.alloc(6 + 16 * pictures.length);
  list.writeUInt16LE(1, 2);
  list.writeUInt16LE(pictures.length, 4);
  let at = list.length;
  for (const [i, { width, height, bits, data }] of pictures.entries()) {
    const entry = 6 + 16 * i;
    list.writeUInt8(width % 256, entry);
    list.writeUInt8(height % 256, entry + 1);
    list.writeUInt16LE(bits, entry + 6);
    list.writeUInt32LE(data.length, entry + 8);
    list.writeUInt32LE(at, entry + 12);
    at += data.length;
  }
  return Buffer.concat([list, ...pictures.map(({ data }) => data)]);
}

const pixels = async (file: Buffer, options: ImageOptions = {}) => {
  const picture = await openPicture(takePicture(file, options));
  return { size: [picture.width, picture.height], data: [...picture.pixels().data], info: picture.info };
};
const expected = (of: (x: number, y: number) => number[]): number[] => Array.from({ length: H }, (_, y) => each((x) => of(x, y))).flat();

const bgr = (y: number) => each((x) => rgb(x, y).reverse());
const word = (value: number): number[] => [value & 255, value >> 8];
const nibbles = (y: number): number[] => Array.from({ length: Math.ceil(W / 2) }, (_, i) => (index(2 * i, y) << 4) | (2 * i + 1 < W ? index(2 * i + 1, y) : 0));
const bitOf = (x: number, y: number): number => (x * y + x) % 2;
const bitRow = (of: (x: number, y: number) => number) => (y: number): number[] =>
  Array.from({ length: Math.ceil(W / 8) }, (_, i) => Array.from({ length: 8 }, (_v, k) => (8 * i + k < W ? of(8 * i + k, y) << (7 - k) : 0)).reduce((a, b) => a | b, 0));
const indexed = expected((x, y) => colorOf(index(x, y)));
/** As a level of so many bits, and back to 255 levels. */
const through = (value: number, bits: number): number => Math.round(((value >> (8 - bits)) * 255) / (2 ** bits - 1));

/** Rows in turn as runs of one, and as one run of different indexes. */
function rle(bits: 4 | 8): number[] {
  const rows = Array.from({ length: H }, (_, i) => {
    const y = H - 1 - i;
    if (y % 2 === 0) return each((x) => [1, bits === 8 ? index(x, y) : index(x, y) << 4]);
    const bytes = bits === 8 ? each((x) => [index(x, y)]) : nibbles(y);
    return [0, W, ...bytes, ...(bytes.length % 2 ? [0] : [])];
  });
  return [...rows.flatMap((row) => [...row, 0, 0]).slice(0, -2), 0, 1];
}

describe("a bitmap", () => {
  test.each<[string, Parts, number[]]>([
    ["1 bit", { bits: 1, colors: palette(2), rows: rowsOf(bitRow(bitOf)) }, expected((x, y) => colorOf(bitOf(x, y)))],
    ["4 bits", { bits: 4, colors: palette(16), rows: rowsOf(nibbles) }, indexed],
    ["8 bits", { bits: 8, colors: palette(16), rows: rowsOf((y) => each((x) => [index(x, y)])) }, indexed],
    ["8 bits and a short palette: black where it has no colour", { bits: 8, colors: palette(4), rows: rowsOf((y) => each((x) => [index(x, y)])) }, expected((x, y) => (index(x, y) < 4 ? colorOf(index(x, y)) : [0, 0, 0]))],
    ["RLE of 8 bits", { bits: 8, compression: 1, colors: palette(16), rows: rle(8) }, indexed],
    ["RLE of 4 bits", { bits: 4, compression: 2, colors: palette(16), rows: rle(4) }, indexed],
    ["16 bits", { bits: 16, rows: rowsOf((y) => each((x) => word(rgb(x, y).reduce((sum, level) => (sum << 5) | (level >> 3), 0)))) }, expected((x, y) => rgb(x, y).map((level) => through(level, 5)))],
    ["16 bits as 5, 6 and 5", { bits: 16, compression: 3, masks: [0xf800, 0x7e0, 0x1f], rows: rowsOf((y) => each((x) => word(((rgb(x, y)[0] >> 3) << 11) | ((rgb(x, y)[1] >> 2) << 5) | (rgb(x, y)[2] >> 3)))) }, expected((x, y) => rgb(x, y).map((level, i) => through(level, i === 1 ? 6 : 5)))],
    ["24 bits", { bits: 24, rows: rowsOf(bgr) }, expected(rgb)],
    ["24 bits from the top", { bits: 24, height: -H, rows: rowsOf(bgr, "above") }, expected(rgb)],
    ["32 bits, of which the last 8 say nothing", { bits: 32, rows: rowsOf((y) => each((x) => [...rgb(x, y).reverse(), 7])) }, expected(rgb)],
    ["32 bits in another order", { bits: 32, compression: 3, masks: [0xff, 0xff00, 0xff0000], rows: rowsOf((y) => each((x) => [...rgb(x, y), 0])) }, expected(rgb)],
    ["10 bits a colour", { bits: 32, compression: 3, masks: [0x3ff00000, 0xffc00, 0x3ff], rows: rowsOf((y) => each((x) => { const [r, g, b] = rgb(x, y).map((level) => level * 4); const value = (r << 20) | (g << 10) | b; return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]; })) }, expected((x, y) => rgb(x, y).map((level) => Math.round((level * 4 * 255) / 1023)))],
    // Colour * alpha + white * (1 - alpha)
    ["alpha that has a mask", { bits: 32, compression: 3, size: 108, masks: [0xff0000, 0xff00, 0xff, 0xff000000], rows: rowsOf((y) => each((x) => [...rgb(x, y).reverse(), LEVELS[x % 4]])) }, expected((x, y) => rgb(x, y).map((level) => Math.round((level * LEVELS[x % 4] + 255 * (255 - LEVELS[x % 4])) / 255)))],
  ])("%s", async (_, parts, data) => {
    const read = await pixels(bmp(parts));
    expect(read.size).toEqual([W, H]);
    expect(read.data).toEqual(data);
    expect(read.info).toMatchObject({ page: 0, pages: 1 });
  });

  test("of OS/2, whose palette has three bytes a colour", async () => {
    const header = Buffer.alloc(26);
    header.write("BM");
    header.writeUInt32LE(26 + 768, 10);
    header.writeUInt32LE(12, 14);
    [W, H, 1, 8].forEach((value, i) => header.writeUInt16LE(value, 18 + 2 * i));
    const colors = Array.from({ length: 256 }, (_, i) => colorOf(i % 16).reverse()).flat();
    expect((await pixels(Buffer.concat([header, Buffer.from(colors), Buffer.from(rowsOf((y) => each((x) => [index(x, y)])))]))).data).toEqual(indexed);
  });

  test("RLE may leave pixels out, and run over the edge", async () => {
    const rows = [3, 5, 0, 2, 2, 1, 200, 9, 0, 1]; // three of 5, then two right and one up, then 9 to the edge and beyond
    const { data } = await pixels(bmp({ bits: 8, compression: 1, colors: palette(16), rows }));
    expect(data).toEqual(expected((x, y) => colorOf(y === H - 1 && x < 3 ? 5 : y === H - 2 && x >= 5 ? 9 : 0)));
  });
});

describe("an icon", () => {
  const clear = (x: number, y: number): number => (x + y) % 3 === 0 ? 1 : 0;
  const mask = rowsOf(bitRow(clear));
  const dib = (parts: Parts): Buffer => Buffer.concat([headerOf({ ...parts, height: 2 * H }), Buffer.from(parts.colors ?? []), Buffer.from(parts.rows)]);
  const onWhite = (of: (x: number, y: number) => number[]) => expected((x, y) => (clear(x, y) ? [255, 255, 255] : of(x, y)));

  test.each<[string, Parts, number[]]>([
    ["4 bits with a mask", { bits: 4, colors: palette(16), rows: [...rowsOf(nibbles), ...mask] }, onWhite((x, y) => colorOf(index(x, y)))],
    ["24 bits with a mask", { bits: 24, rows: [...rowsOf(bgr), ...mask] }, onWhite(rgb)],
    ["24 bits without", { bits: 24, rows: rowsOf(bgr) }, expected(rgb)],
    ["32 bits with alpha, whose mask does not count", { bits: 32, rows: [...rowsOf((y) => each((x) => [...rgb(x, y).reverse(), 255])), ...mask] }, expected(rgb)],
    ["32 bits without alpha, whose mask counts", { bits: 32, rows: [...rowsOf((y) => each((x) => [...rgb(x, y).reverse(), 0])), ...mask] }, onWhite(rgb)],
  ])("%s", async (_, parts, data) => {
    expect(await pixels(ico([{ width: W, height: H, bits: parts.bits, data: dib(parts) }]))).toMatchObject({ size: [W, H], data });
  });

  test("is the largest of a file, with most bits; a PNG is one too", async () => {
    const small = { width: 2, height: 2, bits: 32, data: Buffer.alloc(60) };
    const plain = { width: W, height: H, bits: 4, data: dib({ bits: 4, colors: palette(16), rows: rowsOf(nibbles) }) };
    const full = { width: W, height: H, bits: 24, data: dib({ bits: 24, rows: rowsOf(bgr) }) };
    for (const order of [[small, plain, full], [full, plain, small]]) expect((await pixels(ico(order))).data).toEqual(expected(rgb));
    const png = await sharp({ create: { width: 256, height: 256, channels: 3, background: "#102030" } }).png().toBuffer();
    const read = await pixels(ico([full, { width: 256, height: 256, bits: 32, data: png }]));
    expect([read.size, read.data.slice(0, 3)]).toEqual([[256, 256], [16, 32, 48]]);
    await expect(pixels(ico([full]), { page: 1 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test.each([
    ["its list", ico([]), /list of pictures ends early/],
    ["its picture", ico([{ width: W, height: H, bits: 24, data: dib({ bits: 24, rows: rowsOf(bgr) }) }]).subarray(0, -1), /picture ends early/],
    ["its size", ico([{ width: W, height: H, bits: 24, data: dib({ bits: 24, width: 1025, rows: [] }) }]), /1025x5 is no icon/],
    ["its pixels", ico([{ width: W, height: H, bits: 24, data: dib({ bits: 24, rows: [1, 2, 3] }) }]), /pixels end early/],
  ])("is refused where it is wrong: %s", async (_, file, message) => {
    await expect(pixels(file)).rejects.toMatchObject({ code: "IMAGE_INVALID", message: expect.stringMatching(message) });
  });
});

describe("what is refused", () => {
  const good = { bits: 24, rows: rowsOf(bgr) };
  test.each<[string, Buffer, string, RegExp]>([
    ["pixels that end early", bmp(good).subarray(0, -1), "IMAGE_INVALID", /pixels end early/],
    ["RLE that ends early", bmp({ bits: 8, compression: 1, colors: palette(16), rows: [3, 5, 0, 9, 1] }), "IMAGE_INVALID", /pixels end early/],
    ["a palette that ends early", bmp({ bits: 8, colors: palette(256), rows: [] }).subarray(0, 300), "IMAGE_INVALID", /palette ends early/],
    ["a JPEG in a bitmap", bmp({ ...good, compression: 4 }), "IMAGE_INVALID", /24 bits a pixel with compression 4/],
    ["2 bits", bmp({ ...good, bits: 2 }), "IMAGE_INVALID", /2 bits a pixel/],
    ["masks with a gap", bmp({ bits: 32, compression: 3, masks: [0xf0f, 0xf0, 0xf000], rows: [] }), "IMAGE_INVALID", /side by side/],
    ["no width", bmp({ ...good, width: 0 }), "IMAGE_INVALID", /size is 0x5/],
    ["a side over the limit, before memory is taken", bmp({ ...good, width: 40_000 }), "IMAGE_TOO_LARGE", /40000x5/],
    ["a height of -2147483648", bmp({ ...good, height: -2147483648 }), "IMAGE_TOO_LARGE", /11x2147483648/],
    ["RLE of more pixels than the limit", bmp({ bits: 8, compression: 1, width: 30_000, height: 30_000, colors: palette(16), rows: [0, 1] }), "IMAGE_TOO_LARGE", /30000x30000/],
  ])("%s", async (_, file, code, message) => {
    await expect(pixels(file)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect((await pixels(bmp(good))).data).toEqual(expected(rgb));
  });
});

test("a large bitmap lets the event loop go on, and ends when its call is aborted", async () => {
  const side = 5000;
  const rows = Buffer.alloc(side * side * 2);
  const file = Buffer.concat([bmp({ bits: 16, width: side, height: side, rows: [] }), rows]);
  const controller = new AbortController();
  let turns = 0;
  const beat = setInterval(() => ++turns, 1);
  await openPicture(takePicture(file));
  clearInterval(beat);
  expect(turns).toBeGreaterThan(5);
  const asked = openPicture(takePicture(file), { signal: controller.signal });
  setTimeout(() => controller.abort(), 30);
  await expect(asked).rejects.toMatchObject({ code: "ABORTED" });
});
