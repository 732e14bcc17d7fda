import sharp from "sharp";
import { openPicture } from "../../src/image/picture.js";
import { asReference, takePicture } from "../../src/image/taken-picture.js";
import type { ImageInput, ImageOptions } from "../../src/base/types.js";

const WIDTH = 16;
const HEIGHT = 16;
const COUNT = WIDTH * HEIGHT;
/** Grey values of a picture that has all 256 of them. */
const grey = Uint8Array.from({ length: COUNT }, (_, i) => (i * 37) % 256);
/** The picture as ink: colour 0, and the more alpha the darker. */
const ink = Buffer.from(Uint8Array.from({ length: 4 * COUNT }, (_, i) => (i % 4 === 3 ? 255 - grey[i >> 2] : 0)));
const asRgb = (values: ArrayLike<number>) => Array.from({ length: 3 * values.length }, (_, i) => values[Math.floor(i / 3)]);
const rgba = (data: Buffer) => sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels: 4 } });

const open = async (input: ImageInput, options?: ImageOptions) => [...(await openPicture(takePicture(input, options))).pixels().data];
const farthest = (a: readonly number[], b: readonly number[]) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe("ink kept in alpha is read as ink on white", () => {
  const greyAlpha = () => sharp(Buffer.from(Uint8Array.from({ length: 2 * COUNT }, (_, i) => (i % 2 ? 255 - grey[i >> 1] : 0))), { raw: { width: WIDTH, height: HEIGHT, channels: 2 } }).toColourspace("b-w");
  it.each<[string, number, () => Promise<ImageInput> | ImageInput]>([
    ["raw RGBA", 0, () => ({ data: ink, width: WIDTH, height: HEIGHT, channels: 4 })],
    ["PNG", 0, () => rgba(ink).png().toBuffer()],
    ["interlaced PNG", 0, () => rgba(ink).png({ progressive: true }).toBuffer()],
    ["16-bit PNG", 0, () => rgba(ink).toColourspace("rgb16").png().toBuffer()],
    ["grey and alpha PNG", 0, () => greyAlpha().png().toBuffer()],
    ["WebP", 0, () => rgba(ink).webp({ lossless: true, exact: true }).toBuffer()],
    ["lossy WebP", 30, () => rgba(ink).webp({ quality: 90, alphaQuality: 90 }).toBuffer()],
    ["TIFF", 0, () => rgba(ink).tiff({ compression: "lzw" }).toBuffer()],
    ["AVIF", 12, () => rgba(ink).avif({ quality: 95 }).toBuffer()],
  ])("%s", async (_, tolerance, input) => {
    const data = await open(await input());
    expect(data.length).toBe(3 * COUNT);
    expect(farthest(data, asRgb(grey))).toBeLessThanOrEqual(tolerance);
  });

  it("palette with tRNS, and GIF, of which each pixel is there or not", async () => {
    const two = grey.map((value) => (value > 127 ? 255 : 0));
    const data = Buffer.from(Uint8Array.from({ length: 4 * COUNT }, (_, i) => (i % 4 === 3 ? 255 - two[i >> 2] : 0)));
    const palette = await rgba(data).png({ palette: true }).toBuffer();
    expect(await sharp(palette).metadata()).toMatchObject({ isPalette: true, hasAlpha: true });
    for (const file of [palette, await rgba(data).gif().toBuffer()]) {
      expect(await open(file)).toEqual(asRgb(two));
      expect(await open(file, { background: "#000000" })).toEqual(asRgb(two.map(() => 0)));
    }
  });
});

describe("background", () => {
  const input = { data: Buffer.from([10, 20, 30, 0, 10, 20, 30, 255, 10, 20, 30, 51]), width: 3, height: 1, channels: 4 as const };
  it.each<[string, number[]]>([
    // a fifth of the colour, four fifths of the background
    ["#ffffff", [255, 255, 255, 10, 20, 30, 206, 208, 210]],
    ["#000000", [0, 0, 0, 10, 20, 30, 2, 4, 6]],
    ["#0A64fF", [10, 100, 255, 10, 20, 30, 10, 84, 210]],
    ["drop", [10, 20, 30, 10, 20, 30, 10, 20, 30]],
  ])("%s", async (background, expected) => {
    expect(await open(input, { background })).toEqual(expected);
    const png = await sharp(input.data, { raw: input }).png().toBuffer();
    expect(await open(png, { background })).toEqual(expected);
  });

  it("is left out as the reference does, for evaluation, labels and training", async () => {
    const png = await sharp(input.data, { raw: input }).png().toBuffer();
    expect([...(await openPicture(asReference(png))).pixels().data]).toEqual(await open(png, { background: "drop" }));
  });

  it("is white by default, and makes no difference to pictures without alpha", async () => {
    expect(await open(input)).toEqual(await open(input, { background: "#ffffff" }));
    const opaque = await rgba(ink).removeAlpha().png().toBuffer();
    expect(await open(opaque, { background: "#123456" })).toEqual(await open(opaque, { background: "drop" }));
  });
});

describe("alpha that is 0 everywhere counts as none", () => {
  const captured = Buffer.from(Uint8Array.from({ length: 4 * COUNT }, (_, i) => (i % 4 === 3 ? 0 : grey[(i + (i >> 2)) % COUNT])));
  it.each<[string, () => Promise<ImageInput> | ImageInput]>([
    ["raw", () => ({ data: captured, width: WIDTH, height: HEIGHT, channels: 4 })],
    ["PNG", () => rgba(captured).png().toBuffer()],
    ["WebP", () => rgba(captured).webp({ lossless: true, exact: true }).toBuffer()],
  ])("%s", async (_, input) => {
    const image = await input();
    expect(await open(image)).toEqual([...captured].filter((__, i) => i % 4 !== 3));
    expect(await open(image, { background: "#00ff00" })).toEqual(await open(image));
  });

  it("one pixel that is there makes the others transparent", async () => {
    const data = Buffer.from(captured);
    data[4 * COUNT - 1] = 1;
    expect((await open({ data, width: WIDTH, height: HEIGHT, channels: 4 })).slice(0, -3)).toEqual(new Array(3 * COUNT - 3).fill(255));
  });
});
