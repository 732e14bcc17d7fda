import { regionRecall } from "../../../src/eval/region-recall";

const box = (x: number, y: number, width: number, height: number) => ({ x, y, width, height });

test.each([
  ["no crop", [box(0, 0, 10, 10)], [], 0],
  ["the whole picture", [box(5, 5, 10, 10)], [box(0, 0, 100, 100)], 1],
  ["half of it", [box(0, 0, 10, 10)], [box(5, 0, 100, 100)], 0.5],
  ["beside it", [box(0, 0, 10, 10)], [box(10, 0, 5, 5)], 0],
  ["two crops that overlap count once", [box(0, 0, 10, 10)], [box(0, 0, 6, 10), box(4, 0, 2, 10)], 0.6],
  ["two boxes, one shown", [box(0, 0, 10, 10), box(50, 50, 10, 20)], [box(50, 50, 10, 20)], 2 / 3],
  ["boxes that overlap count once", [box(0, 0, 10, 10), box(0, 0, 10, 5)], [box(0, 0, 10, 5)], 0.5],
] as const)("%s", (_, boxes, crops, share) => {
  expect(regionRecall(boxes, crops)).toBeCloseTo(share, 12);
});

test("without boxes there is nothing to recall", () => {
  expect(regionRecall([], [box(0, 0, 1, 1)])).toBeNaN();
});
