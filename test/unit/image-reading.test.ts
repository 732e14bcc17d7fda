// What lies in samples wider than 8 bits, and in buffers that their owner changes, is read as it was meant.
import sharp from "sharp";
import { openPicture } from "../../src/image/picture";
import { takePicture } from "../../src/image/taken-picture";
import { turnBox, turnBoxBack, turnGridBack } from "../../src/image/turned";
import type { ImageInput, ImageOptions } from "../../src/base/types";
import { tiff } from "../helpers/tiff";

const read = async (input: ImageInput, options?: ImageOptions): Promise<number[]> => [...(await openPicture(takePicture(input, options))).pixels().data];
const raw = (data: number[], channels: 3 | 4, width = data.length / channels) => ({ data: Uint8Array.from(data), width, height: data.length / channels / width, channels });

describe("wide samples", () => {
  const values = [0, 1000, 2048, 4095];
  const grey16 = (samples: number[]) => sharp(Uint16Array.from(samples), { raw: { width: samples.length, height: 1, channels: 1 } }).toColourspace("grey16").png().toBuffer();
  const firsts = async (input: ImageInput) => (await read(input)).filter((_, i) => i % 3 === 0);

  test("of which the file says how many bits count are scaled", async () => {
    expect(await firsts(withChunk(await grey16(values), "sBIT", [12]))).toEqual([0, 62, 128, 255]);
  });

  test("that are scaled already, although fewer bits count, stay", async () => {
    expect(await firsts(withChunk(await grey16([0, 16 * 1000, 65535]), "sBIT", [12]))).toEqual([0, 62, 255]);
  });

  test("that look black are told", async () => {
    const picture = await openPicture(await grey16(values));
    expect(picture.hints).toEqual([{ code: "IMAGE_DARK", message: expect.stringMatching(/greatest is 4095 of 65535/) }]);
    expect((await openPicture(await grey16([0, 65535]))).hints).toEqual([]);
  });

  test.each([1, 3] as const)("floats of 0 to 1 in %i channels are scaled, those of 0 to 255 stay", async (channels) => {
    const spread = (samples: number[]) => Float32Array.from(samples.flatMap((value) => Array<number>(channels).fill(value)));
    expect(await firsts(tiff(spread([0, 0.25, 0.5, 1]), 4, channels))).toEqual([0, 63, 127, 255]);
    expect(await firsts(tiff(spread([0, 64, 128, 255]), 4, channels))).toEqual([0, 64, 128, 255]);
  });

  test.each<[string, Float32Array | Uint32Array | Int16Array]>([
    ["floats above 255", Float32Array.from([0, 300])],
    ["floats below 0", Float32Array.from([-1, 1])],
    ["32 bits", Uint32Array.from([0, 4e9])],
    ["16 bits with sign", Int16Array.from([0, 30000])],
  ])("%s are refused in words", async (_, samples) => {
    await expect(openPicture(tiff(samples, 2, 1))).rejects.toMatchObject({ code: "IMAGE_INVALID", message: expect.stringMatching(/scale/) });
  });
});

describe("taken at the call", () => {
  test("what the owner of a buffer does to it afterwards changes nothing", async () => {
    const bytes = new Uint8Array(await sharp({ create: { width: 2, height: 1, channels: 3, background: "#102030" } }).png().toBuffer());
    const pixels = raw([1, 2, 3], 3);
    const taken = [takePicture(bytes), takePicture(bytes.buffer), takePicture(pixels)];
    bytes.fill(0);
    pixels.data.fill(0);
    const data = await Promise.all(taken.map(async (each) => [...(await openPicture(each)).pixels().data].slice(0, 3)));
    expect(data).toEqual([[16, 32, 48], [16, 32, 48], [1, 2, 3]]);
  });

  test.each<[string, () => [ImageInput, ArrayBuffer]]>([
    ["bytes", () => { const bytes = new Uint8Array(8); return [bytes, bytes.buffer]; }],
    ["an ArrayBuffer", () => { const { buffer } = new Uint8Array(8); return [buffer, buffer]; }],
    ["raw pixels", () => { const data = new Uint8Array(3); return [{ data, width: 1, height: 1, channels: 3 }, data.buffer]; }],
  ])("%s that were transferred are refused at once", (_, make) => {
    const [input, buffer] = make();
    structuredClone(buffer, { transfer: [buffer] });
    expect(() => takePicture(input)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/transferred/) }));
  });
});

describe("turned", () => {
  // 3 x 2 pixels, each of its own grey
  const numbered = raw([1, 2, 3, 4, 5, 6].flatMap((value) => [value, value, value]), 3, 3);
  const rows = { 0: [[1, 2, 3], [4, 5, 6]], 90: [[4, 1], [5, 2], [6, 3]], 180: [[6, 5, 4], [3, 2, 1]], 270: [[3, 6], [2, 5], [1, 4]] };

  test.each([0, 90, 180, 270] as const)("by %i degrees clockwise", async (rotate) => {
    const picture = await openPicture(takePicture(numbered, { rotate }));
    const expected = rows[rotate];
    expect([picture.width, picture.height]).toEqual([expected[0].length, expected.length]);
    expect([...picture.pixels().data].filter((_, i) => i % 3 === 0)).toEqual(expected.flat());
    expect(picture.info).toMatchObject({ width: 3, height: 2, rotated: rotate });
    // every pixel's box goes where the pixel went, and back
    for (const [y, row] of rows[0].entries()) {
      for (const [x, value] of row.entries()) {
        const box = { x, y, width: 1, height: 1 };
        const there = turnBox(box, picture.info, rotate);
        expect(expected[there.y][there.x]).toBe(value);
        expect(turnBoxBack(there, picture.info, rotate)).toEqual(box);
      }
    }
    const back = turnGridBack(Float32Array.from(expected.flat()), picture, rotate);
    expect(back).toEqual({ values: Float32Array.from([1, 2, 3, 4, 5, 6]), width: 3, height: 2 });
  });
});

/** A PNG file with one more chunk behind its header. */
function withChunk(png: Buffer, type: string, data: number[]): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), Buffer.from(data)]);
  const chunk = Buffer.alloc(8);
  chunk.writeUInt32BE(data.length, 0);
  chunk.writeUInt32BE(crc32(body), 4);
  const header = 8 + 12 + 13;
  return Buffer.concat([png.subarray(0, header), chunk.subarray(0, 4), body, chunk.subarray(4), png.subarray(header)]);
}

function crc32(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return ~crc >>> 0;
}
