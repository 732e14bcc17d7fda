import { blur } from "../../src/roi/blur";
import { sigmoid } from "../../src/roi/sigmoid";
import { boxesFromMap } from "../../src/roi/boxes-from-map";
import type { RoIOptions } from "../../src/roi/options";
import { peakRegion } from "../../src/roi/peak-region";
import { proposeRegion } from "../../src/roi/propose-region";
import { regionFromMap } from "../../src/roi/region-from-map";
import type { Box, Size } from "../../src/base/types";

/** Numbers in [0, 1) from a seed (mulberry32), so that a failure can be had again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A map of low logits with a few blobs, as the network gives them. */
function randomLogits({ width, height }: Size, random: () => number): number[] {
  const logits = Array.from({ length: width * height }, () => -6 + random());
  for (let blob = 0; blob < 1 + 3 * random(); blob++) {
    const [x, y, radius] = [random() * width, random() * height, 0.5 + random() * 0.3 * Math.max(width, height)];
    logits.forEach((_, cell) => {
      const distance = Math.hypot((cell % width) + 0.5 - x, Math.floor(cell / width) + 0.5 - y);
      logits[cell] += 9 * Math.max(0, 1 - distance / radius);
    });
  }
  return logits;
}

const inside = ({ x, y, width, height }: Box, image: Size) =>
  [x, y, width, height].every(Number.isInteger) && x >= 0 && y >= 0 && width > 0 && height > 0 && x + width <= image.width && y + height <= image.height;

const grids: Size[] = [[24, 24], [12, 12], [1, 1], [5, 7], [7, 5], [1, 9], [9, 1], [2, 2], [2, 1], [48, 48]].map(([width, height]) => ({ width, height }));
const images: Size[] = [[2, 2], [1, 1], [3, 2], [1, 32768], [32768, 1], [640, 480], [333, 1000], [4032, 3024], [49, 49]].map(([width, height]) => ({ width, height }));
const pairs = grids.flatMap((grid) => images.map((image) => ({ grid, image })));

describe.each(pairs)("grid $grid.width x $grid.height, picture $image.width x $image.height", ({ grid, image }) => {
  const random = generator(grid.width * 7919 + image.width);
  const maps = Array.from({ length: 8 }, () => randomLogits(grid, random));
  const cells = grid.width * grid.height;

  test("boxes and regions lie inside the picture and the grid", () => {
    for (const logits of maps) {
      for (const threshold of [0.05, 0.3, -0.4]) {
        const { boxes, gridBoxes, region } = proposeRegion(logits, { grid, image, threshold });
        for (const box of boxes) {
          expect(inside(box, image)).toBe(true);
          expect(box.score).toBeGreaterThan(0);
          expect(box.score).toBeLessThanOrEqual(1);
        }
        for (const [x0, y0, x1, y1] of gridBoxes) {
          expect(x0 >= 0 && y0 >= 0 && x0 < x1 && y0 < y1 && x1 <= grid.width && y1 <= grid.height).toBe(true);
        }
        expect(region.kind === "none").toBe(region.crop === null);
        expect(region.crop === null || inside(region.crop, image)).toBe(true);
        expect(region.kind === "masked").toBe(region.keep !== null);
        expect(region.keep ?? [0]).not.toHaveLength(0);
        expect((region.keep ?? []).every((cell, index, keep) => cell >= 0 && cell < cells && (index === 0 || keep[index - 1] < cell))).toBe(true);
      }
    }
  });

  test("the peak region always has a pixel", () => {
    for (const logits of [...maps, new Array<number>(cells).fill(-Infinity), new Array<number>(cells).fill(0)]) {
      const { boxes, gridBoxes, region } = peakRegion(logits, { grid, image });
      expect(region).toEqual({ kind: "crop", crop: expect.anything(), keep: null });
      expect(region.crop !== null && inside(region.crop, image)).toBe(true);
      expect(boxes).toEqual([{ ...region.crop, score: expect.any(Number) }]);
      const [x0, y0, x1, y1] = gridBoxes[0];
      expect(x1 - x0 <= 3 && y1 - y0 <= 3 && x0 >= 0 && y0 >= 0 && x1 <= grid.width && y1 <= grid.height).toBe(true);
    }
  });
});

const grid = { width: 24, height: 24 };
const image = { width: 336, height: 336 };
const low = new Array<number>(576).fill(-20);
const withCells = (cells: [x: number, y: number][], width = 24, of = low) =>
  cells.reduce((logits, [x, y]) => logits.with(y * width + x, 20), of);
/** The cells of a rectangle. A threshold of 0.99 passes just those of its inside, whose neighbours are all set. */
const rectangle = (x0: number, y0: number, x1: number, y1: number) =>
  Array.from({ length: (x1 - x0) * (y1 - y0) }, (_, i): [number, number] => [x0 + (i % (x1 - x0)), y0 + Math.floor(i / (x1 - x0))]);

test("the blur mirrors the border without its edge, and keeps a constant", () => {
  const impulse = blur([1, 0, 0, 0, 0, 0, 0, 0, 0], { width: 3, height: 3 });
  const expected = [0.20417996, 0.1238414, 0, 0.1238414, 0.07511361, 0, 0, 0, 0];
  impulse.forEach((value, cell) => expect(value).toBeCloseTo(expected[cell], 7));
  expect(blur([0, 1, 0], { width: 3, height: 1 })[0]).toBeCloseTo(2 * 0.27406862, 7);
  expect(blur([0.5], { width: 1, height: 1 })[0]).toBeCloseTo(0.5, 7);
  for (const value of blur(new Float32Array(35).fill(0.7), { width: 5, height: 7 })) {
    expect(value).toBeCloseTo(0.7, 6);
  }
});

test("infinite logits are probabilities of 0 and 1", () => {
  expect(Array.from(sigmoid([-Infinity, 0, Infinity]))).toEqual([0, 0.5, 1]);
});

test("a cell by itself is dropped, small components are widened, and the far border loses a cell", () => {
  const boxes = (x0: number, y0: number, x1: number, y1: number) =>
    boxesFromMap(withCells(rectangle(x0 - 1, y0 - 1, x1 + 1, y1 + 1)), { grid, image, threshold: 0.99 }).gridBoxes;
  expect(boxes(10, 10, 11, 11)).toEqual([]);
  expect(boxes(10, 10, 12, 11)).toEqual([[9, 9, 12, 12]]);
  expect(boxes(10, 10, 13, 11)).toEqual([[9, 9, 13, 12]]);
  expect(boxes(10, 10, 12, 12)).toEqual([[10, 10, 12, 12]]);
  expect(boxes(2, 3, 17, 18)).toEqual([[2, 3, 17, 18]]);
  expect(boxes(2, 3, 18, 18)).toEqual([]);
  const corner = withCells(rectangle(21, 21, 24, 24));
  expect(boxesFromMap(corner, { grid, image, threshold: 0.99, minArea: 5 }).gridBoxes).toEqual([[21, 21, 23, 23]]);
});

test("cells that touch at a corner are one component; boxes come in the order of their first cells", () => {
  const logits = withCells([...rectangle(3, 4, 8, 8), ...rectangle(8, 8, 12, 12), ...rectangle(14, 2, 18, 6)]);
  // a set cell at a blob's corner blurs to 0.53, one beside a blob to 0.27
  const { gridBoxes } = boxesFromMap(logits, { grid, image, threshold: 0.5 });
  expect(gridBoxes).toEqual([[14, 2, 18, 6], [3, 4, 12, 12]]);
});

test("the limits scale with the grid: on 12x12 a single cell is a box, and more than 56 cells are none", () => {
  const pico = { width: 12, height: 12 };
  const options: RoIOptions = { grid: pico, image: { width: 168, height: 168 }, threshold: 0.99 };
  const blank = new Array<number>(144).fill(-20);
  const inner = (x0: number, y0: number, x1: number, y1: number) => withCells(rectangle(x0 - 1, y0 - 1, x1 + 1, y1 + 1), 12, blank);
  expect(boxesFromMap(inner(5, 5, 6, 6), options).gridBoxes).toEqual([[5, 5, 6, 6]]);
  expect(boxesFromMap(inner(2, 2, 9, 10), options).gridBoxes).toEqual([[2, 2, 9, 10]]);
  expect(boxesFromMap(inner(2, 2, 10, 10), options).gridBoxes).toEqual([]);
  expect(boxesFromMap(inner(2, 2, 10, 10), { ...options, maxArea: 64 }).gridBoxes).toEqual([[2, 2, 10, 10]]);
  // widened to round(3 * 12 / 24) = 2 cells at the least, and to one more than it has
  expect(boxesFromMap(inner(5, 5, 7, 6), { ...options, minArea: 4 }).gridBoxes).toEqual([[4, 4, 7, 6]]);
  expect(boxesFromMap(inner(5, 5, 6, 6), { ...options, minArea: 4 }).gridBoxes).toEqual([]);
});

test("the score is the blurred maximum in the box", () => {
  const logits = withCells(rectangle(4, 4, 8, 8)).with(5 * 24 + 5, 0.4);
  const { boxes } = boxesFromMap(logits, { grid, image, threshold: 0.3 });
  expect(boxes).toHaveLength(1);
  expect(boxes[0].score).toBe(Math.max(...blur(sigmoid(logits), grid)));
});

test("two boxes are one crop of which the foreground is kept, dropped components included", () => {
  const logits = withCells([...rectangle(3, 3, 7, 7), ...rectangle(11, 11, 15, 15)]);
  const region = regionFromMap(logits, { grid, image, threshold: 0.5 });
  expect(region.crop).toEqual({ x: 42, y: 42, width: 168, height: 168 });
  // the crop has 12 of 24 cells a side: the corners of the two blobs are the corners of its grid
  expect(region.kind).toBe("masked");
  expect(region.keep).toEqual(expect.arrayContaining([0, 575]));
  expect(region.keep).not.toContain(23);
  // the third blob is a single cell at this threshold
  const lone = regionFromMap(withCells(rectangle(19, 19, 22, 22), 24, logits), { grid, image, threshold: 0.99 });
  expect(lone.crop).toEqual({ x: 56, y: 56, width: 238, height: 238 });
});

test("a wide model view and a picture with a margin map as the view does", () => {
  const options = { grid: { width: 4, height: 2 }, image: { width: 100, height: 100 }, model: { width: 80, height: 40 }, threshold: 0.4 };
  // the picture is 40 view pixels wide, between 20 and 60: columns 1 and 2; column 0 sees column 1 twice, mirrored
  expect(boxesFromMap([-20, 20, -20, -20, -20, 20, -20, -20], { ...options, maxArea: 8 }).boxes).toEqual([
    { x: 0, y: 0, width: 50, height: 100, score: expect.closeTo(2 * 0.27406862, 6) },
  ]);
});

test("the peak is sought where the picture is", () => {
  const wide = { width: 2048, height: 64 };
  // row 1 is padding: the picture lies in the rows 11 and 12
  const logits = withCells([[3, 1]]).with(11 * 24 + 20, 1);
  const { gridBoxes, region, boxes } = peakRegion(logits, { grid, image: wide });
  expect(gridBoxes).toEqual([[19, 10, 22, 13]]);
  expect(region.crop).toEqual({ x: 1621, y: 0, width: 256, height: 64 });
  expect(boxes[0].score).toBe(blur(sigmoid(logits), grid)[11 * 24 + 20]);
  expect(peakRegion(withCells([[0, 23]]), { grid, image }).gridBoxes).toEqual([[0, 22, 2, 24]]);
});

test.each<[string, unknown, object, string]>([
  ["too few logits", [1, 2], {}, "Expected 576 numbers, one per cell of the 24x24 grid, for logits but received Array of length 2"],
  ["no logits", null, {}, "Expected 576 numbers, one per cell of the 24x24 grid, for logits but received null"],
  ["NaN", low.with(7, NaN), {}, "Expected a number that is not NaN for logits[7] but received NaN of type number"],
  ["texts", low.map(String), {}, "Expected a number that is not NaN for logits[0] but received -20 of type string"],
  ["a fraction of a cell", low, { grid: { width: 24.5, height: 24 } }, "Expected integer of at least 1 for grid.width but received 24.5 of type number"],
  ["no picture", low, { image: { width: 0, height: 5 } }, "Expected integer of at least 1 for image.width but received 0 of type number"],
  ["a negative model", low, { model: { width: 336, height: -1 } }, "Expected integer of at least 1 for model.height but received -1 of type number"],
  ["an infinite threshold", low, { threshold: Infinity }, "Expected number between -1 and 1 for threshold but received Infinity of type number"],
  ["no threshold", low, { threshold: undefined }, "Expected number between -1 and 1 for threshold but received undefined"],
  ["a text as threshold", low, { threshold: "high" }, "Expected number between -1 and 1 for threshold but received high of type string"],
  ["a misspelling", low, { treshold: 0.1 }, "Unknown option treshold, did you mean threshold?"],
])("%s: INVALID_ARGUMENT", (_, logits, change, message) => {
  const options = { grid, image, threshold: 0.15, ...change } as RoIOptions;
  for (const call of [boxesFromMap, regionFromMap, proposeRegion]) {
    expect(() => call(logits as number[], options)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message }));
  }
});

test("the peak region checks its input too", () => {
  expect(() => peakRegion([1], { grid, image })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => peakRegion(low, { grid, image, threshold: 0.1 } as RoIOptions)).toThrow("Unknown option threshold, known are grid, image and model");
});
