import sharp from "sharp";
import { type DrawnRegion, renderOverlay } from "../../src/image/overlay.js";
import type { HeatMap, RawImage } from "../../src/base/types.js";

type Drawing = DrawnRegion;

const NO_REGION = { kind: "none", crop: null, keep: null } as const;

function texture(width: number, height: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * 37) % 251;
  return { data, width, height, channels: 3 };
}

/** A map that is zero but for the given cells, where it is 1. */
function hot(width: number, height: number, cells: [column: number, row: number][]): HeatMap {
  const data = new Float32Array(width * height);
  for (const [column, row] of cells) data[row * width + column] = 1;
  return { width, height, data };
}

async function render(image: RawImage, drawing: Drawing) {
  const png = await renderOverlay(image, drawing);
  expect(png.subarray(0, 8).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: image.width, height: image.height, channels: 3 });
  return {
    pixel: (x: number, y: number) => [...data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)],
    changed: (x: number, y: number) => [0, 1, 2].some((c) => data[(y * image.width + x) * 3 + c] !== image.data[(y * image.width + x) * 3 + c]),
    data,
  };
}

/** The bounds of the pixels that differ from the picture, right and bottom exclusive; null if none do. */
function changedBounds({ width, height }: RawImage, changed: (x: number, y: number) => boolean) {
  let bounds: { left: number; top: number; right: number; bottom: number } | null = null;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!changed(x, y)) continue;
      bounds ??= { left: x, top: y, right: x, bottom: y };
      bounds = { left: Math.min(bounds.left, x), top: Math.min(bounds.top, y), right: Math.max(bounds.right, x + 1), bottom: Math.max(bounds.bottom, y + 1) };
    }
  }
  return bounds;
}

describe("renderOverlay", () => {
  it.each([[1, 1], [2, 2], [300, 7], [5, 400], [240, 240], [1500, 1100]])("leaves a %ix%i picture as it is where there is nothing to draw", async (width, height) => {
    const image = texture(width, height);
    const { data } = await render(image, { map: hot(24, 24, []), boxes: [], region: NO_REGION });
    expect(data.equals(Buffer.from(image.data))).toBe(true);
  });

  it("lays heat over a hot cell and fades it out around", async () => {
    const image = texture(240, 240);
    const { changed } = await render(image, { map: hot(24, 24, [[15, 6]]), boxes: [], region: NO_REGION });
    for (let y = 62; y < 68; y++) for (let x = 152; x < 158; x++) expect(changed(x, y)).toBe(true);
    const bounds = changedBounds(image, changed)!;
    // Cells are 10 pixels wide; the heat is between the centres of the neighbours, the hot cell in its middle.
    expect(bounds.left + bounds.right).toBe(2 * 155);
    expect(bounds.top + bounds.bottom).toBe(2 * 65);
    expect(bounds.left).toBeGreaterThanOrEqual(145);
    expect(bounds.left).toBeLessThan(150);
  });

  it.each([
    // Padded to a square of 240: 80 rows above the wide picture, 80 columns before the tall one.
    ["wide", 240, 80, 155, 25],
    ["tall", 80, 240, 75, 105],
  ])("puts the heat of a %s picture where its padded square lies", async (name, width, height, centerX, centerY) => {
    const image = texture(width, height);
    const { changed } = await render(image, { map: hot(24, 24, [[15, 10]]), boxes: [], region: NO_REGION });
    const bounds = changedBounds(image, changed)!;
    expect(bounds.top + bounds.bottom).toBe(2 * centerY);
    expect(bounds.right).toBe(name === "wide" ? centerX + (centerX - bounds.left) : 80);
    expect(bounds.left).toBeGreaterThanOrEqual(centerX - 10);
  });

  it("leaves heat in the padding outside", async () => {
    const image = texture(240, 80);
    const { data } = await render(image, { map: hot(24, 24, [[12, 2], [12, 21]]), boxes: [], region: NO_REGION });
    expect(data.equals(Buffer.from(image.data))).toBe(true);
  });

  it("places heat as well in a picture larger than the heat layer", async () => {
    const image = texture(2400, 1200);
    const { changed } = await render(image, { map: hot(24, 24, [[3, 8]]), boxes: [], region: NO_REGION });
    const bounds = changedBounds(image, changed)!;
    // The cell covers 300..400 across and, 600 rows of padding above, 200..300 down.
    expect(Math.abs(bounds.left + bounds.right - 700)).toBeLessThanOrEqual(8);
    expect(Math.abs(bounds.top + bounds.bottom - 500)).toBeLessThanOrEqual(8);
  });

  it("serves grids of any shape", async () => {
    const image = texture(300, 100);
    const single = await render(image, { map: hot(1, 1, [[0, 0]]), boxes: [], region: NO_REGION });
    expect(changedBounds(image, single.changed)).toEqual({ left: 0, top: 0, right: 300, bottom: 100 });
    // A grid of the picture's own aspect ratio has no padding.
    const oblong = await render(image, { map: hot(6, 2, [[5, 1]]), boxes: [], region: NO_REGION });
    const bounds = changedBounds(image, oblong.changed)!;
    expect(bounds).toMatchObject({ right: 300, bottom: 100 });
    expect(bounds.left).toBeGreaterThanOrEqual(225);
    expect(bounds.top).toBeGreaterThanOrEqual(25);
  });

  it("is stronger and of another colour where the probability is higher", async () => {
    const image: RawImage = { data: new Uint8Array(240 * 240 * 3).fill(128), width: 240, height: 240, channels: 3 };
    const map = hot(24, 24, []);
    map.data.fill(0.2, 0, 12 * 24);
    map.data.fill(0.9, 12 * 24);
    const { pixel } = await render(image, { map, boxes: [], region: NO_REGION });
    const distance = (color: number[]) => color.reduce((sum, value) => sum + Math.abs(value - 128), 0);
    expect(distance(pixel(120, 200))).toBeGreaterThan(2 * distance(pixel(120, 40)));
    // From purple, in which blue prevails over green, to yellow, where it is the other way round.
    expect(pixel(120, 40)[2]).toBeGreaterThan(pixel(120, 40)[1]);
    expect(pixel(120, 200)[1]).toBeGreaterThan(pixel(120, 200)[2]);
  });

  it("outlines boxes and leaves what is inside and outside as it is", async () => {
    const image = texture(800, 800);
    const box = { x: 100, y: 150, width: 200, height: 120, score: 0.5 };
    const { pixel, changed } = await render(image, { map: hot(24, 24, []), boxes: [box], region: NO_REGION });
    const bounds = changedBounds(image, changed)!;
    // Lines are 2 pixels thick here with an edge of 1 on either side, and lie around the box.
    expect(bounds).toEqual({ left: 97, top: 147, right: 303, bottom: 273 });
    expect(pixel(98, 200)).toEqual([0, 229, 255]);
    expect(pixel(200, 271)).toEqual([0, 229, 255]);
    let inside = 0;
    for (let y = 152; y < 268; y++) for (let x = 102; x < 298; x++) if (changed(x, y)) inside++;
    expect(inside).toBe(0);
  });

  it("makes lines thicker in larger pictures", async () => {
    const thickness = async (side: number) => {
      const image = texture(side, side);
      const box = { x: side / 4, y: side / 4, width: side / 2, height: side / 2, score: 1 };
      const { changed } = await render(image, { map: hot(2, 2, []), boxes: [box], region: NO_REGION });
      return Array.from({ length: side / 2 }, (_, x) => changed(x, side / 2)).filter(Boolean).length;
    };
    expect(await thickness(2000)).toBeGreaterThan(2 * (await thickness(500)));
  });

  it("outlines the crop in another style, visible beside a box of the same place", async () => {
    const image = texture(800, 800);
    const crop = { x: 100, y: 150, width: 200, height: 120 };
    const map = hot(24, 24, []);
    const both = await render(image, { map, boxes: [{ ...crop, score: 1 }], region: { kind: "crop", crop, keep: null } });
    const colors = new Set<string>();
    for (let x = 110; x < 290; x++) for (let y = 130; y < 150; y++) if (both.changed(x, y)) colors.add(both.pixel(x, y).join());
    expect(colors).toEqual(new Set(["0,229,255", "255,255,255", "16,16,24"]));
    // Dashed: along the line both the light and the dark of it occur.
    const along = new Set(Array.from({ length: 150 }, (_, i) => both.pixel(110 + i, 142).join()));
    expect(along).toEqual(new Set(["255,255,255", "16,16,24"]));
  });

  it.each([[1, 1], [2, 2], [3, 50], [4000, 3]])("draws into a %ix%i picture, boxes at and beyond its borders", async (width, height) => {
    const whole = { x: 0, y: 0, width, height };
    const beyond = { x: -10, y: -10, width: width + 50, height: height + 50, score: 1 };
    const { changed } = await render(texture(width, height), {
      map: hot(24, 24, [[12, 12]]),
      boxes: [{ ...whole, score: 1 }, beyond],
      region: { kind: "crop", crop: whole, keep: null },
    });
    expect(changed(0, 0)).toBe(true);
  });

  it("turns the picture upright first", async () => {
    const { data, width, height } = texture(40, 30);
    const jpeg = await sharp(data, { raw: { width, height, channels: 3 } }).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const png = await renderOverlay(jpeg, { map: hot(24, 24, []), boxes: [], region: NO_REGION });
    expect(await sharp(png).metadata()).toMatchObject({ width: 30, height: 40 });
  });

  it("does not change the raw pixels that it was given", async () => {
    const image = texture(50, 50);
    const before = Uint8Array.from(image.data);
    await renderOverlay(image, { map: hot(2, 2, [[0, 0]]), boxes: [{ x: 5, y: 5, width: 9, height: 9, score: 1 }], region: NO_REGION });
    expect(Buffer.from(image.data).equals(before)).toBe(true);
  });

  it("refuses a map of the wrong length, an opacity out of range and an invalid picture", async () => {
    const image = texture(8, 8);
    const bad = { map: { width: 3, height: 3, data: new Float32Array(8) }, boxes: [], region: NO_REGION };
    await expect(renderOverlay(image, bad)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("received 8 for 3x3") as string });
    const good = { map: hot(2, 2, []), boxes: [], region: NO_REGION };
    await expect(renderOverlay(image, good, { opacity: 2 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(renderOverlay(Buffer.from("text"), good)).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    for (const [options, name] of [[{ background: "white" }, /background/], [{ dpi: 5 }, /dpi/], [{ rotate: 90 }, /Unknown option rotate/]] as const) {
      await expect(renderOverlay(image, good, options as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(name) as string });
    }
    await expect(renderOverlay(image, good, { dpi: 100 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/no dpi for raw pixels/) as string });
    await expect(renderOverlay(image, good, { maxImagePixels: 63 })).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
  });
});
