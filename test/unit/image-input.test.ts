import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { openPicture } from "../../src/image/picture.js";
import { sniff } from "../../src/image/sniff.js";
import type { ImageInput } from "../../src/base/types.js";

const WIDTH = 23;
const HEIGHT = 17;
/** A smooth picture without symmetry, so that every orientation of it differs and lossy formats keep it. */
const rgb = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => {
  const [x, y] = [Math.floor(i / 3) % WIDTH, Math.floor(i / 3 / WIDTH)];
  return [10 * x, 14 * y, 255 - 5 * x - 7 * y][i % 3];
});
const source = () => sharp(rgb, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });

let directory: string;
let png: Buffer;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "image-input-"));
  png = await source().png().toBuffer();
  writeFileSync(join(directory, "a picture #1.png"), png);
});
afterAll(() => rmSync(directory, { recursive: true }));

const open = async (input: ImageInput) => (await openPicture(input)).pixels();
const meanDifference = (a: Uint8Array, b: Uint8Array) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;

describe("kinds of input", () => {
  const path = () => join(directory, "a picture #1.png");
  it.each<[string, () => ImageInput]>([
    ["path", path],
    ["file URL", () => pathToFileURL(path())],
    ["file URL as text", () => pathToFileURL(path()).href],
    ["Buffer", () => png],
    ["Uint8Array", () => new Uint8Array(png)],
    ["part of a larger Uint8Array", () => new Uint8Array([1, 2, ...png, 3]).subarray(2, -1)],
    ["ArrayBuffer", () => new Uint8Array(png).buffer],
    ["raw RGB", () => ({ data: rgb, width: WIDTH, height: HEIGHT, channels: 3 })],
    ["raw RGB, clamped", () => ({ data: new Uint8ClampedArray(rgb), width: WIDTH, height: HEIGHT, channels: 3 })],
  ])("reads %s", async (_, input) => {
    const { data, width, height, channels } = await open(input());
    expect({ width, height, channels }).toEqual({ width: WIDTH, height: HEIGHT, channels: 3 });
    expect(Buffer.from(data).equals(rgb)).toBe(true);
  });

  it("keeps its own copy of raw pixels", async () => {
    const mine = new Uint8Array([1, 2, 3]);
    const picture = await openPicture({ data: mine, width: 1, height: 1, channels: 3 });
    mine.fill(9);
    expect([...picture.pixels().data]).toEqual([1, 2, 3]);
  });
});

describe("formats", () => {
  it.each<[string, number, () => Promise<Buffer>]>([
    ["JPEG", 4, () => source().jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer()],
    ["progressive JPEG", 4, () => source().jpeg({ quality: 95, progressive: true, chromaSubsampling: "4:4:4" }).toBuffer()],
    ["WebP", 0, () => source().webp({ lossless: true }).toBuffer()],
    ["TIFF", 0, () => source().tiff({ compression: "lzw" }).toBuffer()],
    ["AVIF", 3, () => source().avif({ quality: 90, chromaSubsampling: "4:4:4" }).toBuffer()],
    ["GIF", 12, () => source().gif().toBuffer()],
    ["palette PNG", 12, () => source().png({ palette: true }).toBuffer()],
    ["interlaced PNG", 0, () => source().png({ progressive: true }).toBuffer()],
    ["PNG with alpha", 0, () => source().ensureAlpha(1).png().toBuffer()],
    ["16-bit PNG", 0, () => source().toColourspace("rgb16").png().toBuffer()],
    // CMYK cannot hold every colour of the test picture, but it is far from inverted or channel-swapped.
    ["CMYK JPEG", 40, () => source().toColourspace("cmyk").jpeg({ quality: 95 }).toBuffer()],
  ])("reads %s", async (_, tolerance, encode) => {
    const { data, width, height } = await open(await encode());
    expect([width, height]).toEqual([WIDTH, HEIGHT]);
    expect(data.length).toBe(rgb.length);
    expect(meanDifference(data, rgb)).toBeLessThanOrEqual(tolerance);
  });

  it.each<[string, (image: sharp.Sharp) => sharp.Sharp]>([
    ["gray", (image) => image],
    ["gray with alpha", (image) => image.ensureAlpha(1)],
    ["16-bit gray", (image) => image.toColourspace("grey16")],
  ])("reads %s PNG as RGB", async (name, change) => {
    const values = Buffer.from([0, 50, 100, 150, 200, 255]);
    const encoded = await change(sharp(values, { raw: { width: 3, height: 2, channels: 1 } }).toColourspace("b-w")).png().toBuffer();
    expect((await sharp(encoded).metadata()).depth).toBe(name.startsWith("16") ? "ushort" : "uchar");
    const { data } = await open(encoded);
    expect([...data]).toEqual([...values].flatMap((value) => [value, value, value]));
  });

  it.each(["gif", "webp"] as const)("takes the first frame of an animated %s", async (format) => {
    const frame = (red: number) => ({ create: { width: 8, height: 6, channels: 3 as const, background: { r: red, g: 0, b: 0 } } });
    const frames = await Promise.all([255, 0].map((red) => sharp(frame(red)).png().toBuffer()));
    const animation = await sharp(frames, { join: { animated: true } })[format]().toBuffer();
    expect((await sharp(animation).metadata()).pages).toBe(2);
    const { data, width, height } = await open(animation);
    expect([width, height]).toEqual([8, 6]);
    expect(data[0]).toBeGreaterThan(240);
  });

  it("does not apply colour profiles, as the reference does not", async () => {
    const tagged = await source().withIccProfile("p3").png().toBuffer();
    expect((await sharp(tagged).metadata()).icc).toBeDefined();
    const stored = await sharp(tagged, { ignoreIcc: true }).raw().toBuffer();
    expect(Buffer.from((await open(tagged)).data).equals(stored)).toBe(true);
  });

  it.each([[1, 1], [2, 2]])("reads a %ix%i picture", async (width, height) => {
    const image = await sharp({ create: { width, height, channels: 3, background: "#102030" } }).png().toBuffer();
    const picture = await openPicture(image);
    expect([picture.width, picture.height]).toEqual([width, height]);
    expect((await picture.view({ width: 14, height: 14 }, [0, 0, 0])).subarray(0, 3)).toEqual(Buffer.from([0x10, 0x20, 0x30]));
  });
});

describe("EXIF orientation", () => {
  const [W, H] = [WIDTH, HEIGHT];
  /** Where pixel (x, y) of the upright picture lies in the stored one, as the EXIF standard defines each value. */
  const stored: Record<number, (x: number, y: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y) => [W - 1 - x, y],
    3: (x, y) => [W - 1 - x, H - 1 - y],
    4: (x, y) => [x, H - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y) => [y, H - 1 - x],
    7: (x, y) => [W - 1 - y, H - 1 - x],
    8: (x, y) => [W - 1 - y, x],
  };
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("%i", async (orientation) => {
    const file = await source().withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer();
    expect((await sharp(file).metadata()).orientation).toBe(orientation);
    const unturned = await sharp(file).raw().toBuffer();
    const { data, width, height } = await open(file);
    expect([width, height]).toEqual(orientation > 4 ? [H, W] : [W, H]);
    const expected = Uint8Array.from(data, (_, i) => {
      const [x, y] = stored[orientation](Math.floor(i / 3) % width, Math.floor(i / 3 / width));
      return unturned[(y * W + x) * 3 + (i % 3)];
    });
    expect(Buffer.from(data).equals(expected)).toBe(true);
  });
});

describe("what is refused", () => {
  const rejection = async (input: unknown, limits?: { maxImagePixels?: number }) => {
    const error: unknown = await openPicture(input as ImageInput, limits).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return error as { code: string; message: string } | undefined;
  };

  it.each([
    ["a missing file", () => join(directory, "none.png"), /not found.*none\.png/],
    ["a directory", () => directory, /it is a folder, not a regular file/],
    ["an empty buffer", () => Buffer.alloc(0), /no bytes/],
    ["an empty ArrayBuffer", () => new ArrayBuffer(0), /no bytes/],
    ["text", () => Buffer.from("What is the total?\n"), /text file.*JPEG, PNG/],
    ["random bytes", () => Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]), /unknown format.*JPEG, PNG/],
    ["SVG", () => Buffer.from('<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'), /SVG.*rasterize/],
    ["PostScript", () => Buffer.from("%!PS-Adobe-3.0\n"), /PostScript.*rasterize/],
    ["PDF", () => Buffer.from("%PDF-1.7\n"), /PDF.*damaged/],
    ["text that begins as BMP files do", () => Buffer.from("BMW, and other makes of cars"), /text file/],
    ["HEIC", () => Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"), /HEIC.*convert/],
    ["a GGUF model", () => Buffer.from("GGUF\x03\0\0\0", "latin1"), /unknown format/],
    ["raw pixels that are too few", () => ({ data: new Uint8Array(11), width: 2, height: 2, channels: 3 }), /12 bytes .* received 11/],
    ["raw pixels that are too many", () => ({ data: new Uint8Array(17), width: 2, height: 2, channels: 4 }), /16 bytes .* received 17/],
  ])("%s: IMAGE_INVALID", async (_, input, message) => {
    const error = await rejection(input());
    expect(error).toMatchObject({ code: "IMAGE_INVALID" });
    expect(error?.message).toMatch(message);
  });

  it.each(["jpeg", "png", "webp", "gif", "tiff", "avif"] as const)("a truncated %s: IMAGE_INVALID", async (format) => {
    const noise = Buffer.from(Array.from({ length: 120 * 90 * 3 }, (_, i) => (i * 7919) % 256));
    const whole = await sharp(noise, { raw: { width: 120, height: 90, channels: 3 } })[format]().toBuffer();
    await openPicture(whole);
    for (const length of [20, Math.floor(whole.length / 2), whole.length - 30]) {
      const error = await rejection(whole.subarray(0, length));
      expect(error).toMatchObject({ code: "IMAGE_INVALID" });
      expect(error?.message).toMatch(/truncated/);
    }
  });

  it.each([
    ["number", 7],
    ["null", null],
    ["undefined", undefined],
    ["empty object", {}],
    ["array", [1, 2]],
    ["empty path", ""],
    ["typed array of another kind", new Float32Array(12)],
    ["web address", "https://example.org/picture.png"],
    ["web address as URL", new URL("https://example.org/picture.png")],
    ["file URL of another machine", "file://host.example/%2F"],
    ["raw data of another kind", { data: [1, 2, 3], width: 1, height: 1, channels: 3 }],
    ["raw width", { data: new Uint8Array(3), width: 0, height: 1, channels: 3 }],
    ["raw height", { data: new Uint8Array(3), width: 1, height: 1.5, channels: 3 }],
    ["raw channels", { data: new Uint8Array(1), width: 1, height: 1, channels: 1 }],
  ])("%s: INVALID_ARGUMENT", async (_, input) => {
    const error = await rejection(input);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(error?.message).toMatch(/^Expected .* for image.* but received /);
  });

  it("a side over 32,768 pixels: IMAGE_TOO_LARGE, told from the header alone", async () => {
    const wide = await sharp({ create: { width: 40_000, height: 2, channels: 3, background: "red" } }).png().toBuffer();
    for (const input of [wide, wide.subarray(0, wide.length - 40), { data: new Uint8Array(120_000), width: 40_000, height: 1, channels: 3 }]) {
      const error = await rejection(input);
      expect(error).toMatchObject({ code: "IMAGE_TOO_LARGE" });
      expect(error?.message).toContain("40000x");
    }
    const widest = await openPicture(await sharp({ create: { width: 32_768, height: 1, channels: 3, background: "red" } }).png().toBuffer());
    expect(widest.width).toBe(32_768);
  });

  it("more pixels than maxImagePixels: IMAGE_TOO_LARGE", async () => {
    expect(await rejection(png, { maxImagePixels: WIDTH * HEIGHT - 1 })).toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(await rejection(png, { maxImagePixels: WIDTH * HEIGHT })).toBeUndefined();
    const raw = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 };
    expect(await rejection(raw, { maxImagePixels: 3 })).toMatchObject({ code: "IMAGE_TOO_LARGE" });
  });

  it("more than 100 million pixels by default", async () => {
    const huge = await sharp({ create: { width: 10_001, height: 10_000, channels: 3, background: "red" } }).png({ compressionLevel: 1 }).toBuffer();
    expect(await rejection(huge)).toMatchObject({ code: "IMAGE_TOO_LARGE" });
  });
});

it("leaves sharp's settings to the program that uses it too", async () => {
  const before = JSON.stringify([sharp.cache().memory.max, sharp.cache().files.max, sharp.concurrency(), sharp.simd()]);
  await openPicture(png);
  expect(JSON.stringify([sharp.cache().memory.max, sharp.cache().files.max, sharp.concurrency(), sharp.simd()])).toBe(before);
});

it("sniffs what sharp writes and what it cannot read", () => {
  const named = (text: string) => sniff(Buffer.from(text, "latin1")).name;
  expect(named("\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf")).toBe("AVIF");
  expect(named("\0\0\0\x14ftypisom\0\0\0\0isom")).toBe("MP4 or QuickTime video");
  expect(named("RIFF\x10\0\0\0WEBPVP8 ")).toBe("WebP");
  expect(named("RIFF\x10\0\0\0WAVEfmt ")).toBe("an unknown format");
  expect(named("\xef\xbb\xbf  <svg width='1'>")).toBe("SVG");
  expect(named("<html><body>")).toBe("a text file");
});
