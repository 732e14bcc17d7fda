import { readFileSync } from "node:fs";
import { join } from "node:path";
import { blur } from "../../src/roi/blur";
import { sigmoid } from "../../src/roi/sigmoid";
import { boxesFromMap } from "../../src/roi/boxes-from-map";
import { hasArea, toImageBox } from "../../src/roi/geometry";
import { proposeRegion } from "../../src/roi/propose-region";
import { regionFromMap } from "../../src/roi/region-from-map";
import type { GridBox } from "../../src/roi/components";

type Corners = [x0: number, y0: number, x1: number, y1: number];

interface GoldenCase {
  grid: [number, number];
  imageSize: [number, number];
  modelSize: [number, number];
  threshold: number;
  minArea: number;
  maxArea: number;
  logits: number[];
  gridBoxes: GridBox[];
  imageBoxes: Corners[];
  blurredMax: number;
  blurredSum: number;
  /** null for relative thresholds, for which the reference defines no region */
  region: { kind: string; crop: Corners | null; keep: number[] | null } | null;
}

const cases = JSON.parse(readFileSync(join(__dirname, "../fixtures/golden/roi-boxes.json"), "utf8")) as GoldenCase[];
const size = ([width, height]: [number, number]) => ({ width, height });
const toBox = ([x0, y0, x1, y1]: Corners) => ({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 });

test("the golden file has all its cases", () => {
  expect(cases).toHaveLength(48);
  expect(new Set(cases.map(({ region }) => region?.kind))).toEqual(new Set(["none", "crop", "masked", undefined]));
});

describe.each(cases.map((golden, index) => ({ golden, index })))("golden map $index", ({ golden }) => {
  const view = { grid: size(golden.grid), image: size(golden.imageSize), model: size(golden.modelSize) };
  const options = { ...view, threshold: golden.threshold, minArea: golden.minArea, maxArea: golden.maxArea };

  test("boxes equal the reference's", () => {
    const { boxes, gridBoxes } = boxesFromMap(golden.logits, options);
    expect(gridBoxes).toEqual(golden.gridBoxes);
    expect(gridBoxes.map((box) => toImageBox(box, view))).toEqual(golden.imageBoxes.map(toBox));
    const visible = golden.imageBoxes.map(toBox).filter(hasArea);
    expect(boxes.map(({ x, y, width, height }) => ({ x, y, width, height }))).toEqual(visible);
  });

  test("the region equals the reference's", () => {
    const region = regionFromMap(golden.logits, options);
    expect(proposeRegion(golden.logits, options).region).toEqual(region);
    if (golden.region) {
      expect(region).toEqual({ ...golden.region, crop: golden.region.crop && toBox(golden.region.crop) });
    } else {
      // a relative threshold is the absolute one that it stands for
      const maximum = Math.max(...blur(sigmoid(golden.logits), view.grid));
      const threshold = Math.fround(maximum * Math.fround(-golden.threshold));
      expect(region).toEqual(regionFromMap(golden.logits, { ...options, threshold }));
      expect(region.kind === "none").toBe(golden.gridBoxes.length < 2 && !golden.imageBoxes.map(toBox).some(hasArea));
    }
  });

  test("the blurred map has the reference's maximum and sum", () => {
    const blurred = blur(sigmoid(golden.logits), view.grid);
    expect(Math.abs(Math.max(...blurred) - golden.blurredMax)).toBeLessThan(1e-7);
    expect(Math.abs(blurred.reduce((a, b) => a + b, 0) / golden.blurredSum - 1)).toBeLessThan(2e-7);
  });

  test("the published defaults are the limits of a 24x24 grid, and any array of numbers will do", () => {
    const defaults = { grid: view.grid, image: view.image, threshold: golden.threshold };
    expect(proposeRegion(Float64Array.from(golden.logits), defaults)).toEqual(proposeRegion(golden.logits, options));
    expect(proposeRegion(Float32Array.from(golden.logits), defaults).gridBoxes).toEqual(golden.gridBoxes);
  });
});
