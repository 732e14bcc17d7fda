// Windows over tall, wide and large pictures, and what becomes of what is found in them.
import type { Box, ScoredBox } from "../../src/base/types";
import { openPicture } from "../../src/image/picture";
import { mergeRegions } from "../../src/roi/merge-regions";
import { stitchMaps } from "../../src/roi/stitch-maps";
import { tileWindows } from "../../src/roi/tile-windows";

const page = { width: 1008, height: 8064 };

test.each<[string, { width: number; height: number }, "auto" | number, number, number]>([
  // the number of squares that overlap by a quarter: (long / short - 1/4) / (3/4), rounded up
  ["a tall page", page, "auto", 1, 11],
  ["a wide one", { width: 8064, height: 1008 }, "auto", 11, 1],
  ["a sheet of paper", { width: 1240, height: 1754 }, "auto", 1, 1],
  ["1.5 times as long", { width: 1000, height: 1500 }, "auto", 1, 1],
  ["a little more", { width: 1000, height: 1501 }, "auto", 1, 2],
  ["a strip", { width: 10, height: 2000 }, "auto", 1, 16],
  ["a square", { width: 4000, height: 4000 }, "auto", 1, 1],
  ["a square in four", { width: 4000, height: 4000 }, 4, 2, 2],
  ["a square in eight, of which a row of eight shows less", { width: 4000, height: 4000 }, 8, 2, 2],
  ["a square in nine", { width: 4000, height: 4000 }, 9, 3, 3],
  ["a square in two, which would show nothing larger", { width: 4000, height: 4000 }, 2, 1, 1],
  ["a page in three", page, 3, 1, 3],
  ["a page in twelve: one column of eleven is as narrow as can be", page, 12, 1, 11],
  ["a page in twenty-four, where two columns show more", page, 24, 2, 12],
  ["one pixel", { width: 1, height: 1 }, 64, 1, 1],
])("%s", (_, picture, tiles, columns, rows) => {
  const windows = tileWindows(picture, tiles);
  expect([new Set(windows.map(({ x }) => x)).size, new Set(windows.map(({ y }) => y)).size]).toEqual([columns, rows]);
  expect(windows).toHaveLength(columns * rows);
});

test.each([[page, "auto"], [page, 5], [{ width: 8065, height: 1009 }, "auto"], [{ width: 4001, height: 3003 }, 12], [{ width: 3, height: 700 }, 64]] as const)(
  "windows of %j are equal, inside, reach both ends and share a quarter (%s)",
  (picture, tiles) => {
    const windows = tileWindows(picture, tiles);
    expect(windows.length).toBeGreaterThan(1);
    for (const axis of ["x", "y"] as const) {
      const side = axis === "x" ? "width" : "height";
      const starts = [...new Set(windows.map((box) => box[axis]))];
      const [length, ...others] = new Set(windows.map((box) => box[side]));
      expect(others).toEqual([]);
      expect(starts.every(Number.isInteger)).toBe(true);
      expect([starts[0], starts.at(-1)! + length]).toEqual([0, picture[side]]);
      for (const [i, start] of starts.slice(1).entries()) {
        const shared = starts[i] + length - start;
        expect(shared).toBeGreaterThanOrEqual(Math.floor(length / 4) - 1); // starts are rounded
      }
    }
  },
);

const box = (x: number, y: number, width: number, height: number): Box => ({ x, y, width, height });
const scored = (score: number, at: Box): ScoredBox => ({ ...at, score });
const crop = (at: Box, keep: number[] | null = null) => ({ kind: keep ? ("masked" as const) : ("crop" as const), crop: at, keep });
const NOTHING = { kind: "none" as const, crop: null, keep: null };
const [first, second] = [box(0, 0, 100, 100), box(0, 75, 100, 100)];

test("the best window's region is taken, moved to its place, with its mask", () => {
  const found = mergeRegions([
    { window: first, boxes: [scored(0.4, box(1, 2, 10, 10))], region: crop(box(1, 2, 10, 10)) },
    { window: second, boxes: [scored(0.9, box(5, 60, 10, 20))], region: crop(box(5, 60, 10, 20), [0, 3]) },
  ]);
  expect(found.boxes).toEqual([scored(0.9, box(5, 135, 10, 20)), scored(0.4, box(1, 2, 10, 10))]);
  expect(found.region).toEqual({ kind: "masked", crop: box(5, 135, 10, 20), keep: [0, 3] });
});

test("the same place in two windows is one box, and their regions are read together", () => {
  // 70..100 of the first window and 0..40 of the second one, which is 75..115 of the picture
  const found = mergeRegions([
    { window: first, boxes: [scored(0.5, box(10, 70, 20, 30))], region: crop(box(10, 70, 20, 30)) },
    { window: second, boxes: [scored(0.8, box(10, 0, 20, 40))], region: crop(box(10, 0, 20, 40), [1]) },
  ]);
  expect(found.boxes).toEqual([scored(0.8, box(10, 75, 20, 40))]);
  expect(found.region).toEqual({ kind: "crop", crop: box(10, 70, 20, 45), keep: null });
});

test("what is far less likely, or shares less than half, is not read with it", () => {
  const best = { window: second, boxes: [scored(0.8, box(10, 0, 20, 40))], region: crop(box(10, 0, 20, 40)) };
  const unlikely = { window: first, boxes: [scored(0.39, box(10, 70, 20, 30))], region: crop(box(10, 70, 20, 30)) };
  const beside = { window: first, boxes: [scored(0.7, box(10, 20, 20, 60))], region: crop(box(10, 20, 20, 60)) };
  expect(mergeRegions([unlikely, best]).region.crop).toEqual(box(10, 75, 20, 40));
  expect(mergeRegions([beside, best]).region.crop).toEqual(box(10, 75, 20, 40));
  expect(mergeRegions([{ ...best, boxes: [], region: NOTHING }])).toEqual({ boxes: [], region: NOTHING });
});

test("maps are laid side by side, the greatest value where windows overlap", () => {
  // squares of 4x4 cells of 25 pixels, three cells apart
  const view = { grid: { width: 4, height: 4 }, image: { width: 100, height: 100 }, model: { width: 56, height: 56 } };
  const flat = (value: number) => new Float32Array(16).fill(value);
  const { map, grid } = stitchMaps({ width: 100, height: 175 }, view, [
    { window: first, map: flat(0.25) },
    { window: second, map: flat(0.5).fill(0.125, 0, 4).fill(0.75, 14, 15) },
  ]);
  expect(grid).toEqual({ width: 4, height: 7 });
  expect([...map]).toEqual([...Array<number>(16).fill(0.25), ...Array<number>(8).fill(0.5), 0.5, 0.5, 0.75, 0.5]);
});

test("padding of a window's view is no part of the map", () => {
  // 100x50 in the middle of a square of 4x4 cells: the rows 1 and 2 show it
  const view = { grid: { width: 4, height: 4 }, image: { width: 100, height: 50 }, model: { width: 56, height: 56 } };
  const rows = Float32Array.from({ length: 16 }, (_, cell) => Math.floor(cell / 4) / 4);
  const { map, grid } = stitchMaps({ width: 175, height: 50 }, view, [0, 75].map((x) => ({ window: box(x, 0, 100, 50), map: rows })));
  expect(grid).toEqual({ width: 7, height: 2 });
  expect([...map]).toEqual([...Array<number>(7).fill(0.25), ...Array<number>(7).fill(0.5)]);
});

test.each([box(0, 2, 7, 3), box(2, 0, 3, 5), box(1, 1, 1, 1)])("a part of a picture has the pixels under it: %j", async (part) => {
  const data = Uint8Array.from({ length: 7 * 5 * 3 }, (_, i) => i);
  const picture = await openPicture({ data, width: 7, height: 5, channels: 3 });
  const expected: number[] = [];
  for (let y = part.y; y < part.y + part.height; y++) {
    for (let x = part.x; x < part.x + part.width; x++) {
      expected.push(...data.subarray((y * 7 + x) * 3, (y * 7 + x) * 3 + 3));
    }
  }
  const cut = picture.part(part);
  expect([cut.width, cut.height, [...cut.pixels().data]]).toEqual([part.width, part.height, expected]);
});
