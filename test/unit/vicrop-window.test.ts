import { vicropWindow } from "../../src/roi/vicrop-window";

const grid = { width: 12, height: 12 };
const model = { width: 168, height: 168 };
const square = { width: 1008, height: 1008 }; // cells of 84 source pixels; windows of 2, 2, 2, 3, 3 and 4 cells

function mapWith(cells: [x: number, y: number, value: number][], side = 12): Float32Array {
  const map = new Float32Array(side * side);
  for (const [x, y, value] of cells) {
    map[y * side + x] = value;
  }
  return map;
}

function filled(x0: number, y0: number, width: number, height: number): Float32Array {
  return mapWith(Array.from({ length: width * height }, (_, i) => [x0 + (i % width), y0 + Math.floor(i / width), 1]));
}

test("the smallest window that fits the hot cells wins, of equal ones the first", () => {
  // 2 x 2 cells from (4, 6): centre (5, 7) cells = (420, 588) pixels
  expect(vicropWindow(filled(4, 6, 2, 2), { grid, image: square, model }, 168).crop).toEqual({ x: 336, y: 504, width: 168, height: 168 });
});

test("a larger patch takes a larger window, of the ratio that stands out most", () => {
  // 3 x 3 cells: sharpness (9 - 6) / 9 at 3 cells against (4 - 4) / 4 ... at 2 and (9 - 9) / 16 at 4; ratio 1.6
  expect(vicropWindow(filled(4, 6, 3, 3), { grid, image: square, model }, 168).crop).toEqual({ x: 462 - 134, y: 630 - 134, width: 268, height: 268 });
});

test("the crop is moved inside the picture", () => {
  expect(vicropWindow(mapWith([[0, 0, 1]]), { grid, image: square, model }, 168).crop).toMatchObject({ x: 0, y: 0 });
  const { x, y, width, height } = vicropWindow(filled(10, 10, 2, 2), { grid, image: square, model }, 168).crop;
  expect([x + width, y + height]).toEqual([1008, 1008]);
});

test("of equal places the first in x-major order", () => {
  const { x, y } = vicropWindow(mapWith([[8, 2, 1], [2, 8, 1]]), { grid, image: square, model }, 168).crop;
  expect(x).toBeLessThan(400);
  expect(y).toBeGreaterThan(400);
});

test("a picture no larger than the window is taken whole", () => {
  const image = { width: 160, height: 120 };
  expect(vicropWindow(mapWith([[3, 3, 1]]), { grid, image, model }, 168).crop).toEqual({ x: 0, y: 0, ...image });
});

test("what the map has in the padding counts as nothing", () => {
  // 1008 x 504: rows 0..2 and 9..11 of the view are padding
  const wide = { width: 1008, height: 504 };
  const map = mapWith([[2, 0, 100], [6, 11, 100], [8, 5, 1], [9, 5, 1], [8, 6, 1], [9, 6, 1]]);
  const crop = vicropWindow(map, { grid, image: wide, model }, 168).crop;
  expect(crop).toEqual({ x: 756 - 84, y: 252 - 84, width: 168, height: 168 });
});

test("a picture lower than the window is cut at its height", () => {
  const strip = { width: 1008, height: 100 };
  expect(vicropWindow(mapWith([[5, 5, 1], [5, 6, 1]]), { grid, image: strip, model }, 168).crop).toMatchObject({ y: 0, height: 100, width: 168 });
});

test("pictures with cells larger than the input size still have a window of one cell", () => {
  const huge = { width: 6000, height: 6000 };
  expect(vicropWindow(mapWith([[7, 3, 1]]), { grid, image: huge, model }, 168).crop).toEqual({ x: 3750 - 84, y: 1750 - 84, width: 168, height: 168 });
});

test("the share is that of the cells under the window, of what lies in the picture", () => {
  // the window of 2 x 2 cells holds 4 of 4 + 4; a row of the padding counts for nothing
  const map = mapWith([[2, 4, 1], [3, 4, 1], [2, 5, 1], [3, 5, 1], [6, 7, 1], [8, 7, 1], [10, 7, 1], [11, 4, 1], [5, 0, 50]]);
  expect(vicropWindow(map, { grid, image: { width: 1008, height: 504 }, model }, 168)).toMatchObject({ crop: { x: 168, y: 84 }, share: 0.5 });
  expect(vicropWindow(map, { grid, image: { width: 160, height: 120 }, model }, 168).share).toBe(1);
  expect(vicropWindow(mapWith([]), { grid, image: square, model }, 168).share).toBe(0);
});
