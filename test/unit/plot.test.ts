import sharp from "sharp";
import { barChart } from "../../src/plot/bar-chart";
import { lineChart } from "../../src/plot/line-chart";
import { chartsToPng } from "../../src/plot/png";
import { makeScale, niceRange } from "../../src/plot/scale";
import { textWidth } from "../../src/plot/text";

const labelsOf = (low: number, high: number, log = false): string[] => makeScale({ low, high, from: 0, to: 100, log }).ticks.map(({ label }) => label);

test("axes have round marks", () => {
  expect(labelsOf(0, 1)).toEqual(["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  expect(labelsOf(-3, 12)).toEqual(["0", "5", "10"]);
  expect(labelsOf(0, 25000)).toEqual(["0", "5,000", "10,000", "15,000", "20,000", "25,000"]);
  expect(labelsOf(0.002, 3, true)).toEqual(["0.01", "0.1", "1"]);
  expect(labelsOf(2, 40, true)).toEqual(["2", "5", "10", "20"]);
  expect(niceRange(0.013, 0.993)).toEqual([0, 1]);
});

test("values are cut to the axis, and an axis without extent is widened", () => {
  const scale = makeScale({ low: 0, high: 10, from: 100, to: 0 });
  expect([scale.at(0), scale.at(5), scale.at(10), scale.at(20)]).toEqual([100, 50, 0, 0]);
  expect(makeScale({ low: 3, high: 3, from: 0, to: 100 }).at(3)).toBe(50);
  expect(makeScale({ low: 1, high: 100, from: 0, to: 100, log: true }).at(10)).toBeCloseTo(50);
});

test("text is drawn as outlines, so that no font is needed", () => {
  const svg = lineChart({ title: 'Loss <of> "a" & b', xLabel: "step", yLabel: "loss", series: [{ name: "training", points: [[0, 1], [1, 0.5]] }] });
  expect(svg).not.toContain("<text");
  expect(svg).not.toContain("Loss");
  expect(textWidth("mm", 10)).toBeCloseTo(2 * textWidth("m", 10));
  expect(textWidth("\u4e00", 10)).toBe(textWidth("?", 10));
});

test("lines are where their values are", async () => {
  const svg = lineChart({ title: "", xLabel: "", yLabel: "", yMin: 0, yMax: 1, series: [{ name: "", points: [[0, 0.5], [10, 0.5], [20, NaN]], color: "#ff0000" }] });
  const { data, info } = await sharp(await chartsToPng([svg], 1)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([900, 480]);
  const red: number[] = [];
  for (let y = 0; y < info.height; y++) {
    const at = (y * info.width + 450) * 3;
    if (data[at] > 200 && data[at + 1] < 100) red.push(y);
  }
  expect(red).toHaveLength(2); // a line of two pixels, in the middle of the area
  expect(Math.abs(red[0] + 1 - (48 + 480 - 58) / 2)).toBeLessThanOrEqual(1);
});

test("bars have the heights of their values; what has none is left out", () => {
  const svg = barChart({ title: "t", yLabel: "share", yMax: 1, categories: ["a", "b"], series: [{ name: "x", values: [0.25, 0.5], color: "#010203" }, { name: "y", values: [null, NaN], color: "#040506" }] });
  const heights = [...svg.matchAll(/height="([\d.]+)" fill="#010203"/g)].map(([, height]) => Number(height));
  expect(heights).toHaveLength(2);
  expect(heights[1] / heights[0]).toBeCloseTo(2, 2);
  expect([...svg.matchAll(/fill="#040506"/g)]).toHaveLength(1); // just the legend's mark
});

test("charts without any data, of one point and of values that a logarithm lacks are pictures all the same", async () => {
  const common = { title: "t", xLabel: "x", yLabel: "y" };
  const charts = [
    lineChart({ ...common, series: [] }),
    lineChart({ ...common, yLog: true, series: [{ name: "a", points: [[3, 0.02]] }] }),
    lineChart({ ...common, yLog: true, series: [{ name: "a", points: [[0, 0], [1, 1]] }] }),
    barChart({ title: "t", yLabel: "y", categories: [], series: [] }),
  ];
  expect(charts.join("")).not.toContain("NaN");
  const { width, height } = await sharp(await chartsToPng(charts, 1)).metadata();
  expect([width, height]).toEqual([900, 4 * 480]);
});
