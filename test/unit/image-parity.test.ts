import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openPicture } from "../../src/image/picture.js";
import { asReference } from "../../src/image/taken-picture.js";

interface Case {
  source: string;
  op: "pad" | "crop";
  size: number;
  expected: string;
  fill?: [number, number, number];
  box?: [number, number, number, number];
}

const directory = join(__dirname, "../fixtures/pico/parity/resize");
const cases = JSON.parse(readFileSync(join(directory, "cases.json"), "utf8")) as Case[];

const square = (side: number) => ({ width: side, height: side });

async function scale({ source, op, size, fill, box }: Case): Promise<Uint8Array> {
  const picture = await openPicture(asReference(join(directory, source)));
  if (op === "pad") return picture.view(square(size), fill!);
  const [left, top, right, bottom] = box!;
  return picture.crop({ x: left, y: top, width: right - left, height: bottom - top }, square(size));
}

describe("preprocessing against Pillow", () => {
  it("has cases of both operations", () => {
    expect(new Set(cases.map(({ op }) => op))).toEqual(new Set(["pad", "crop"]));
    expect(cases.length).toBe(24);
  });

  it.each(cases.map((c) => [`${c.source} ${c.op} ${c.size}`, c] as const))("%s", async (_, testCase) => {
    const actual = await scale(testCase);
    const expected = (await openPicture(join(directory, testCase.expected))).pixels().data;
    expect(actual.length).toBe(expected.length);
    const histogram = new Array<number>(256).fill(0);
    actual.forEach((value, i) => histogram[Math.abs(value - expected[i])]++);
    const mean = histogram.reduce((sum, count, difference) => sum + count * difference, 0) / actual.length;
    const close = histogram.slice(0, 5).reduce((sum, count) => sum + count, 0) / actual.length;
    expect(mean).toBeLessThanOrEqual(1);
    expect(close).toBeGreaterThanOrEqual(0.99);
    // Without a lossy decoder in between, nothing may differ at all.
    if (testCase.source.endsWith(".png")) expect(histogram[0]).toBe(actual.length);
  });
});

describe("scaling", () => {
  const gray = (width: number, height: number, value: (x: number, y: number) => number) => ({
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => value(Math.floor(i / 3) % width, Math.floor(i / 3 / width))),
    width,
    height,
    channels: 3 as const,
  });

  it("fills the padding of wide and tall pictures, the odd pixel after the picture", async () => {
    // 2x1 in a square of 2: the offset (2 - 1) / 2 is rounded down, so the padding is the lower row.
    const wide = await openPicture({ data: new Uint8Array([1, 2, 3, 4, 5, 6]), width: 2, height: 1, channels: 3 });
    expect([...(await wide.view(square(2), [7, 8, 9]))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9]);
    const tall = await openPicture({ data: new Uint8Array([1, 2, 3, 4, 5, 6]), width: 1, height: 2, channels: 3 });
    expect([...(await tall.view(square(2), [7, 8, 9]))]).toEqual([1, 2, 3, 7, 8, 9, 4, 5, 6, 7, 8, 9]);
  });

  it("scales each axis on its own where the view is not square", async () => {
    const picture = await openPicture(gray(40, 20, (x, y) => 2 * x + 5 * y));
    // the same proportions: no padding, each pixel the mean of those that the bicubic filter reaches
    const view = await picture.view({ width: 8, height: 4 }, [0, 0, 0]);
    expect(view.length).toBe(8 * 4 * 3);
    const at = (x: number, y: number): number => view[(y * 8 + x) * 3];
    for (const [x, y, mean] of [[2, 1, 2 * 12 + 5 * 7], [3, 1, 2 * 17 + 5 * 7], [2, 2, 2 * 12 + 5 * 12]]) {
      expect(Math.abs(at(x, y) - mean)).toBeLessThanOrEqual(1); // the filter is cut at the border
    }
    // a square picture in a view twice as wide as high: a quarter of padding on either side
    const square = await openPicture(gray(20, 20, () => 100));
    const padded = await square.view({ width: 8, height: 4 }, [7, 7, 7]);
    for (const [x, value] of [[0, 7], [3, 100], [4, 100], [7, 7]]) {
      expect(Math.abs(padded[x * 3] - value)).toBeLessThanOrEqual(1);
    }
    const crop = await picture.crop({ x: 0, y: 0, width: 12, height: 6 }, { width: 3, height: 6 });
    expect(crop.length).toBe(3 * 6 * 3);
    expect([...crop].filter((_, i) => i % 9 === 3)).toEqual([0, 1, 2, 3, 4, 5].map((y) => Math.round(2 * 5.5 + 5 * y)));
  });

  it("keeps flat pictures flat at every ratio", async () => {
    for (const side of [1, 7, 336]) {
      for (const [width, height] of [[1, 1], [2, 2], [1, 900], [1000, 3]]) {
        const picture = await openPicture(gray(width, height, () => 100));
        expect(new Set(await picture.view(square(side), [100, 100, 100]))).toEqual(new Set([100]));
        expect(new Set(await picture.crop({ x: 0, y: 0, width, height }, square(side)))).toEqual(new Set([100]));
      }
    }
  });

  it("takes crops from the right place, clipped to the picture and cut to whole pixels", async () => {
    const picture = await openPicture(gray(20, 10, (x, y) => x + 10 * y));
    const corner = await picture.crop({ x: 18.9, y: 8.9, width: 50, height: 50 }, square(2));
    expect([...corner].filter((_, i) => i % 3 === 0)).toEqual([98, 99, 108, 109]);
    expect(await picture.crop({ x: -5, y: -5, width: 25.5, height: 15.5 }, square(8))).toEqual(await picture.crop({ x: 0, y: 0, width: 20, height: 10 }, square(8)));
  });

  it.each([
    { x: 20, y: 0, width: 5, height: 5 },
    { x: 2, y: 2, width: 0, height: 5 },
    { x: 2, y: 2, width: 5, height: -1 },
    { x: NaN, y: 2, width: 5, height: 5 },
  ])("refuses a box without pixels: %j", async (box) => {
    const picture = await openPicture(gray(20, 10, () => 0));
    await expect(picture.crop(box, square(8))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("lets the event loop turn while it works", async () => {
    const picture = await openPicture({ data: new Uint8Array(4000 * 3000 * 3), width: 4000, height: 3000, channels: 3 });
    let turns = 0;
    let running = true;
    const count = () => {
      turns++;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    await picture.view(square(336), [0, 0, 0]);
    running = false;
    expect(turns).toBeGreaterThan(3);
  });

  it("gives the same for overlapping calls", async () => {
    const picture = await openPicture(gray(900, 700, (x, y) => x ^ y));
    const alone = await picture.view(square(64), [1, 2, 3]);
    const together = await Promise.all([picture.view(square(64), [1, 2, 3]), picture.view(square(31), [0, 0, 0]), picture.view(square(64), [1, 2, 3])]);
    expect(together[0].equals(alone)).toBe(true);
    expect(together[2].equals(alone)).toBe(true);
  });
});
