import { readFileSync } from "node:fs";
import { join } from "node:path";
import { planCrop, planPicture, type TokenBudget } from "../../src/image/dynamic-view";
import { type EnclosingKind, enclosingRegion } from "../../src/roi/enclosing-region";
import { sigmoid } from "../../src/roi/sigmoid";
import { ROOT } from "../helpers/demo";

// What the code of SD-RPN and Q-Zoom made of pictures of all shapes; test/fixtures/golden/qwen-regions.json

interface Case {
  name: string;
  size: [number, number];
  minTokens: number;
  maxTokens: number;
  firstResize: [number, number];
  /** rows, columns */
  grid: [number, number];
  logits: string;
  sinkKeep?: string;
  roiThreshold?: number;
  cells?: [number, number, number, number];
  box?: [number, number, number, number];
  roiGrid?: [number, number];
  roiKept?: string;
  gate?: { score: number | null; threshold: number };
}

interface Golden {
  models: { name: string; kind: EnclosingKind; cell: number; cases: Case[] }[];
}

const { models } = JSON.parse(readFileSync(join(ROOT, "test", "fixtures", "golden", "qwen-regions.json"), "utf8")) as Golden;
const cases = models.flatMap((model) => model.cases.map((one) => ({ ...one, ...{ model: model.name, kind: model.kind, cell: model.cell } })));

const sizeOf = ([height, width]: [number, number]) => ({ width, height });
const budgetOf = ({ cell, minTokens, maxTokens }: { cell: number; minTokens: number; maxTokens: number }): TokenBudget => ({ cell, min: minTokens, max: maxTokens });

describe("the view of a picture", () => {
  test.each(cases)("$model $name", (one) => {
    const [width, height] = one.size;
    const { via, grid, pixels } = planPicture({ width, height }, budgetOf(one));
    expect(via).toEqual({ width: one.firstResize[0], height: one.firstResize[1] });
    expect(grid).toEqual(sizeOf(one.grid));
    expect(pixels).toEqual({ width: grid.width * one.cell, height: grid.height * one.cell });
  });

  test("is refused for proportions that the references refuse, with the number", () => {
    const budget = { cell: 28, min: 256, max: 576 };
    expect(() => planPicture({ width: 29, height: 8000 }, budget)).toThrow(expect.objectContaining({ code: "IMAGE_INVALID", message: expect.stringContaining("29x8000, 275.9 times") as string }));
    expect(planPicture({ width: 29, height: 5800 }, budget).pixels).toEqual({ width: 56, height: 6468 }); // 28 x 5796 after the first resize, times sqrt(256 * 28 * 28 / (28 * 5796)) = 1.1121, up to whole cells
    expect(() => planPicture({ width: 29, height: 5801 }, budget)).toThrow(expect.objectContaining({ code: "IMAGE_INVALID" }));
    expect(planCrop({ width: 29, height: 5801 }, budget)).toBeNull();
  });

  test("has a whole number of cells within the budget, whatever the picture", () => {
    for (const budget of [{ cell: 28, min: 256, max: 576 }, { cell: 32, min: 4, max: 64 }, { cell: 28, min: 576, max: 576 }]) {
      for (let width = 1; width < 3000; width = Math.ceil(width * 1.37)) {
        for (let height = Math.ceil(width / 20); height < 20 * width && height < 9000; height = Math.ceil(height * 1.61)) {
          const { grid, pixels } = planPicture({ width, height }, budget);
          const tokens = grid.width * grid.height;
          expect(Number.isInteger(grid.width) && Number.isInteger(grid.height) && grid.width > 0 && grid.height > 0).toBe(true);
          expect(pixels).toEqual({ width: grid.width * budget.cell, height: grid.height * budget.cell });
          // where a picture is enlarged, either side is rounded up to a whole cell
          expect(tokens).toBeLessThanOrEqual(budget.min === budget.max ? budget.max + grid.width + grid.height : budget.max);
        }
      }
    }
    // a row of one pixel is one cell high and as long as the budget demands
    expect(planPicture({ width: 1, height: 1 }, { cell: 28, min: 1, max: 4 }).grid).toEqual({ width: 2, height: 2 });
  });
});

describe("the region of a map", () => {
  test.each(cases.filter(({ roiThreshold }) => roiThreshold !== undefined))("$model $name", (one) => {
    const [width, height] = one.size;
    const bytes = Buffer.from(one.logits, "base64");
    const logits = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const sinkKeep = one.sinkKeep ? [...one.sinkKeep].map((cell) => cell === "1") : undefined;
    const options = { kind: one.kind, grid: sizeOf(one.grid), image: { width, height }, threshold: one.roiThreshold!, budget: budgetOf(one), sinkKeep };
    const { region, gridBoxes, boxes } = enclosingRegion(sigmoid(logits), options);
    if (!one.box) {
      expect(region).toEqual({ kind: "none", crop: null, keep: null });
      expect(boxes).toEqual([]);
      return;
    }
    const [x0, y0, x1, y1] = one.box;
    expect(gridBoxes).toEqual([one.cells]);
    expect(region.crop).toEqual({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
    expect(boxes).toEqual([{ ...region.crop, score: expect.any(Number) as number }]);
    expect(planCrop(region.crop!, budgetOf(one))!.grid).toEqual(sizeOf(one.roiGrid!));
    const all = one.roiGrid![0] * one.roiGrid![1];
    const kept = one.roiKept ? [...one.roiKept].flatMap((cell, index) => (cell === "1" ? [index] : [])) : Array.from({ length: all }, (_, index) => index);
    expect(region.keep ?? Array.from({ length: all }, (_, index) => index)).toEqual(kept);
    expect(region.kind).toBe(kept.length === all ? "crop" : "masked");
  });

  const budget = { cell: 28, min: 4, max: 576 };
  const peaked = (grid: { width: number; height: number }, ...cells: number[]): Float32Array => {
    const map = new Float32Array(grid.width * grid.height);
    cells.forEach((cell) => (map[cell] = 1));
    return map;
  };

  test("sinks by place count as nothing on large maps only", () => {
    const large = { width: 32, height: 28 };
    const small = { width: 16, height: 16 };
    const at = (kind: EnclosingKind, grid: { width: number; height: number }, cell: number): string =>
      enclosingRegion(peaked(grid, cell), { kind, grid, image: { width: grid.width * 28, height: grid.height * 28 }, threshold: 0.15, budget }).region.kind;
    // a quarter of the first column, and of the first row
    expect([at("sdrpn-qwen", large, 6 * 32), at("sdrpn-qwen", large, 7 * 32), at("sdrpn-qwen", large, 7), at("sdrpn-qwen", large, 8)]).toEqual(["none", expect.not.stringMatching("none"), "none", expect.not.stringMatching("none")]);
    expect([at("qzoom", small, 3), at("sdrpn-qwen", small, 3)]).toEqual(["crop", expect.not.stringMatching("none")]);
    const over256 = { width: 17, height: 16 };
    expect([at("qzoom", over256, 3), at("qzoom", over256, 4)]).toEqual(["none", "crop"]);
  });

  test("a crop under 28 pixels is no region for SD-RPN, and grows for Q-Zoom, staying inside the picture", () => {
    const grid = { width: 8, height: 8 };
    const image = { width: 160, height: 160 };
    const corner = { grid, image, threshold: 0.15, budget };
    // one cell of 20 pixels alone above a threshold that its neighbours stay below
    const map = peaked(grid, 63);
    expect(enclosingRegion(map, { ...corner, kind: "sdrpn-qwen", threshold: -0.99 }).region.kind).toBe("none");
    expect(enclosingRegion(map, { ...corner, kind: "qzoom", threshold: -0.99 }).region.crop).toEqual({ x: 132, y: 132, width: 28, height: 28 });
    expect(enclosingRegion(peaked(grid, 0), { ...corner, kind: "qzoom", threshold: -0.99 }).region.crop).toEqual({ x: 0, y: 0, width: 28, height: 28 });
  });

  test("a map of one row or column is blurred along it", () => {
    const grid = { width: 1, height: 9 };
    const map = peaked(grid, 4);
    // 0.4519 of a Gaussian's weight stays, 0.2741 goes to either side
    const region = (threshold: number) => enclosingRegion(map, { kind: "qzoom", grid, image: { width: 28, height: 252 }, threshold, budget }).gridBoxes;
    expect(region(0.45)).toEqual([[0, 4, 1, 5]]);
    expect(region(0.27)).toEqual([[0, 3, 1, 6]]);
    expect(region(0.46)).toEqual([]);
  });
});
