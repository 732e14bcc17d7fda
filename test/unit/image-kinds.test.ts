// The forms in which programs have pictures.
import { Readable } from "node:stream";
import sharp from "sharp";
import { openPicture } from "../../src/image/picture";
import { takePicture } from "../../src/image/taken-picture";
import type { ImageInput, ImageOptions } from "../../src/base/types";

const PIXELS = [10, 20, 30, 200, 100, 50];
let png: Buffer;
beforeAll(async () => {
  png = await sharp(Uint8Array.from(PIXELS), { raw: { width: 2, height: 1, channels: 3 } }).png().toBuffer();
});
const read = async (input: ImageInput, options?: ImageOptions): Promise<number[]> => [...(await openPicture(takePicture(input, options))).pixels().data];

/** As canvases give it: getters of the prototype, no channels. */
class CanvasLike {
  get data(): Uint8ClampedArray {
    return Uint8ClampedArray.from([10, 20, 30, 255, 200, 100, 50, 255]);
  }
  get width(): number {
    return 2;
  }
  get height(): number {
    return 1;
  }
}

const encoded = (): string => png.toString("base64");

test.each<[string, () => ImageInput]>([
  ["a Blob", () => new Blob([png])],
  ["a File", () => new File([png], "any.name")],
  ["ImageData", () => new CanvasLike() as unknown as ImageInput],
  ["a stream of Node", () => Readable.from([png.subarray(0, 10), png.subarray(10)])],
  ["a stream of the web", () => new Blob([png]).stream()],
  ["a data URI", () => `data:image/png;base64,${encoded()}`],
  ["one in capitals, with parameters", () => `DATA:IMAGE/PNG;name=a.png;BASE64,${encoded()}`],
  ["one whose base64 is percent-encoded", () => `data:;base64,${encodeURIComponent(encoded())}`],
  ["one in the alphabet of URLs", () => `data:image/png;base64,${png.toString("base64url")}`],
  ["one that is not base64", () => `data:image/png,${[...png].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")}`],
  ["raw pixels, blue first", () => ({ data: Uint8Array.from([30, 20, 10, 50, 100, 200]), width: 2, height: 1, channels: 3, order: "bgr" })],
  ["raw pixels, blue first, with alpha", () => ({ data: Uint8Array.from([30, 20, 10, 255, 50, 100, 200, 255]), width: 2, height: 1, channels: 4, order: "bgr" })],
])("%s", async (_, make) => {
  expect(await read(make())).toEqual(PIXELS);
});

test("a caller's raw pixels are not reordered in place", async () => {
  const data = Uint8Array.from([30, 20, 10]);
  await read({ data, width: 1, height: 1, channels: 3, order: "bgr" });
  expect([...data]).toEqual([30, 20, 10]);
});

describe("refused in words", () => {
  const broken = (): Readable => new Readable({ read() { this.destroy(new Error("cable pulled")); } });
  test.each<[string, () => ImageInput, string, RegExp]>([
    ["a stream that fails", broken, "IMAGE_INVALID", /cable pulled/],
    ["a stream of text", () => Readable.from(["abc"]), "IMAGE_INVALID", /stream of bytes/],
    ["an empty stream", () => Readable.from([]), "IMAGE_INVALID", /no bytes at all/],
    ["an empty Blob", () => new Blob([]), "IMAGE_INVALID", /no bytes at all/],
    ["a data URI without a comma", () => "data:image/png;base64", "IMAGE_INVALID", /no comma/],
    ["a data URI of something else", () => "data:image/png;base64,????", "IMAGE_INVALID", /not base64/],
    ["a data URI of text", () => "data:,hello", "IMAGE_INVALID", /a text file/],
    ["channels in no order", () => ({ data: new Uint8Array(3), width: 1, height: 1, channels: 3, order: "brg" as "bgr" }), "INVALID_ARGUMENT", /"rgb" or "bgr" for image.order/],
    ["pixels without channels", () => ({ data: new Uint8Array(3), width: 1, height: 1 }) as unknown as ImageInput, "INVALID_ARGUMENT", /3 or 4 for image.channels/],
  ])("%s", async (_, make, code, message) => {
    await expect(read(make())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("a stream that is too long, which is closed", async () => {
    const chunk = new Uint8Array(64 * 1024 * 1024);
    const stream = new Readable({ read() { this.push(chunk); } });
    await expect(read(stream)).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(stream.destroyed).toBe(true);
  });

  test("a stream whose call is aborted is closed", async () => {
    const stream = new Readable({ read() {} });
    const controller = new AbortController();
    const taken = takePicture(stream, {}, controller.signal);
    controller.abort();
    await expect(openPicture(taken)).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    expect(stream.destroyed).toBe(true);
  });
});

describe("pages", () => {
  const page = (red: number) => sharp({ create: { width: 8, height: 6, channels: 3, background: { r: red, g: 0, b: 0 } } }).png().toBuffer();
  let pages: Buffer[];
  beforeAll(async () => {
    pages = await Promise.all([255, 128, 0].map(page));
  });

  test.each(["gif", "webp", "tiff"] as const)("of a %s", async (format) => {
    const joined = sharp(pages, { join: { animated: true } });
    const file = await (format === "tiff" ? joined.tiff({ compression: "lzw" }) : format === "webp" ? joined.webp({ lossless: true }) : joined.gif()).toBuffer();
    for (const [index, red] of [255, 128, 0].entries()) {
      const picture = await openPicture(takePicture(file, { page: index }));
      expect(picture.info).toMatchObject({ width: 8, height: 6, page: index, pages: 3 });
      expect(Math.abs(picture.pixels().data[0] - red)).toBeLessThan(8);
    }
    expect((await openPicture(file)).info).toMatchObject({ page: 0, pages: 3 });
    await expect(read(file, { page: 3 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/page from 0 to 2 but received 3/) });
  });

  test("a picture without pages has one", async () => {
    expect(await read(png, { page: 0 })).toEqual(PIXELS);
    await expect(read(png, { page: 1 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/the only one/) });
    await expect(read({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 }, { page: 1 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
