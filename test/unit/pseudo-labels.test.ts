import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pseudoLabels, type PseudoLabelOptions } from "../../src/roi/pseudo-labels";

interface GoldenCase extends Required<Omit<PseudoLabelOptions, "grid">> {
  grid: [number, number];
  sinkAttention: number[];
  groundingAttention: number[];
  labels: number[];
  foregroundBox: number[];
}

const cases = JSON.parse(readFileSync(join(__dirname, "../fixtures/golden/pseudo-labels.json"), "utf8")) as GoldenCase[];
const grid = { width: 4, height: 3 };
const none = new Array<number>(12).fill(0);
const ratios = { sinkThreshold: 1e-3, foregroundRatio: 0.2, backgroundRatio: 0.1, maxForegroundArea: 0.5 };

test("the golden file has all its cases", () => {
  expect(cases).toHaveLength(32);
});

test.each(cases.map((golden, index) => ({ golden, index })))("golden attention $index", ({ golden }) => {
  const { grid: [width, height], sinkAttention, groundingAttention, labels, foregroundBox, ...options } = golden;
  const size = { width, height };
  expect(pseudoLabels(sinkAttention, groundingAttention, { grid: size, ...options })).toEqual({ labels, foregroundBox });
  expect(pseudoLabels(Float32Array.from(sinkAttention), Float64Array.from(groundingAttention), { grid: size })).toEqual({
    labels,
    foregroundBox,
  });
});

test("labels are foreground, background outside its box, and nothing between", () => {
  const grounding = [0.05, 1, 0, 0.15, 0, 0.15, 0.5, 0.01, 0.02, 0.1, 0.03, 0.01];
  expect(pseudoLabels(none, grounding, { grid, ...ratios })).toEqual({
    // the cells [0][2] and [1][1] lie inside the box of the foreground, [0][3] and [2][1] are not below the background's limit
    labels: [0, 1, -100, -100, 0, -100, 1, 0, 0, -100, 0, 0],
    foregroundBox: [0, 1, 1, 2],
  });
});

test("attention sinks are background outside the box, however much they are attended", () => {
  const sink = none.with(11, 1e-3);
  const grounding = none.with(1, 0.5).with(11, 9);
  expect(pseudoLabels(sink, grounding, { grid, ...ratios })).toEqual({
    labels: [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    foregroundBox: [0, 1, 0, 1],
  });
});

test("without foreground, and with one of half the grid, nothing is learned", () => {
  expect(pseudoLabels(none, none, { grid, ...ratios })).toEqual({ labels: none.map(() => -100), foregroundBox: [0, 0, 2, 3] });
  const half = pseudoLabels(none, none.with(0, 1).with(6, 1), { grid, ...ratios });
  expect(half).toEqual({ labels: none.map(() => -100), foregroundBox: [0, 0, 1, 2] });
  expect(pseudoLabels(none, none.with(0, 1).with(6, 1), { grid, ...ratios, maxForegroundArea: 0.51 }).labels).toContain(1);
});

test.each<[string, unknown, unknown, object, string]>([
  ["too few", [0], none, { grid }, "Expected 12 numbers, one per cell of the 4x3 grid, for sink but received Array of length 1"],
  ["NaN", none, none.with(3, NaN), { grid }, "Expected a number that is not NaN for grounding[3] but received NaN of type number"],
  ["a text", none, "high", { grid }, "Expected 12 numbers, one per cell of the 4x3 grid, for grounding but received high of type string"],
  ["a grid without cells", none, none, { grid: { width: 0, height: 3 } }, "Expected integer of at least 1 for grid.width but received 0 of type number"],
  ["a misspelling", none, none, { grid, forgroundRatio: 1 }, "Unknown option forgroundRatio, did you mean foregroundRatio?"],
])("%s is refused", (_, sink, grounding, options, message) => {
  expect(() => pseudoLabels(sink as number[], grounding as number[], options as PseudoLabelOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", message }),
  );
});
