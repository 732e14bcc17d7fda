import sharp from "sharp";
import { AXIS, stackSvg } from "../../src/plot/echarts";
import { lineChart } from "../../src/plot/line-chart";

const common = { title: "", xLabel: "", yLabel: "" };
const textsOf = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
const pixelsOf = async (svg: string) => sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true });

/** Pixels of pure red in one column. */
async function redRows(svg: string, x: number): Promise<number[]> {
  const { data, info } = await pixelsOf(svg);
  return Array.from({ length: info.height }, (_, y) => y).filter((y) => {
    const at = (y * info.width + x) * 3;
    return data[at] > 200 && data[at + 1] < 100 && data[at + 2] < 100;
  });
}

test("titles, labels and the legend are text, escaped; a series without a name is not in the legend", () => {
  const svg = lineChart({
    title: 'Loss <of> "a" & b',
    xLabel: "step",
    yLabel: "loss per cell",
    series: [{ name: "training", points: [[0, 1], [1, 0.5]] }, { name: "", points: [[0, 1], [1, 0.2]] }],
  });
  expect(textsOf(svg)).toEqual(expect.arrayContaining(["Loss &lt;of&gt; &quot;a&quot; &amp; b", "step", "loss per cell", "training"]));
  expect(textsOf(svg).filter((text) => text === "training" || text.startsWith("#"))).toEqual(["training"]);
});

test("lines are where their values are", async () => {
  const line = (y: number) => lineChart({ ...common, yMin: 0, yMax: 1, series: [{ name: "", points: [[0, y], [10, y], [20, NaN]], color: "#ff0000" }] });
  const middle = await redRows(line(0.5), 450);
  expect(middle.length).toBeGreaterThanOrEqual(1);
  expect(middle.length).toBeLessThanOrEqual(3); // a line of two pixels
  const at = async (y: number): Promise<number> => (await redRows(line(y), 450))[0];
  const [low, high] = [await at(0.25), await at(0.75)];
  expect(middle[0] - high).toBeGreaterThan(60);
  expect(Math.abs(low - middle[0] - (middle[0] - high))).toBeLessThanOrEqual(1);
});

test("a logarithmic axis has powers of ten, without the noise of binary fractions", () => {
  const series = [{ name: "a", points: [[0, 2], [1, 0.00012]] as const }];
  expect(textsOf(lineChart({ ...common, yLog: true, series }))).toEqual(expect.arrayContaining(["0.0001", "0.001", "0.01", "0.1", "1", "10"]));
  expect([0.1 + 0.2, 1e-4 - 1e-20, 1500, 0, -2].map(AXIS.axisLabel.formatter)).toEqual(["0.3", "0.0001", "1,500", "0", "-2"]);
});

test("the same chart is the same bytes, and has no names that could clash in a page", () => {
  const chart = { ...common, series: [{ name: "a", points: [[0, 1], [1, 2]] as const, style: "dots" as const }] };
  expect(lineChart(chart)).toBe(lineChart(chart));
  expect(lineChart(chart)).not.toMatch(/ id=| class=|<style|<script|clip-path|ecmeta/);
});

test("charts without any data, of one point and of values that a logarithm lacks are pictures all the same", async () => {
  const charts = [
    lineChart({ ...common, series: [] }),
    lineChart({ ...common, yLog: true, series: [] }),
    lineChart({ ...common, yLog: true, series: [{ name: "a", points: [[3, 0.02]], color: "#ff0000" }] }),
    lineChart({ ...common, yLog: true, series: [{ name: "a", points: [[0, 0], [1, 1]], color: "#ff0000" }] }),
  ];
  expect(charts.join("")).not.toMatch(/NaN|Infinity|undefined/);
  // an axis without logarithms, with the values that those lack
  const below = lineChart({ ...common, yLog: true, series: [{ name: "a", points: [[0, -2], [1, 4]] }] });
  expect(textsOf(below)).toEqual(expect.arrayContaining(["-2", "0", "2", "4"]));
  const { data, info } = await pixelsOf(charts[2]);
  const red = Array.from({ length: info.width * info.height }, (_, i) => i * 3).filter((at) => data[at] > 200 && data[at + 1] < 60 && data[at + 2] < 60);
  expect(red.length).toBeGreaterThan(30 + 22 * 8); // the dot, besides the legend's mark
});

test("charts below each other keep their sizes", async () => {
  const [upper, lower] = [{}, { height: 360, series: [{ name: "", points: [[0, 1], [10, 1]] as const, color: "#ff0000" }], yMin: 0, yMax: 2 }].map((more) => lineChart({ ...common, series: [], ...more }));
  const both = stackSvg([upper, lower]);
  const { info } = await pixelsOf(both);
  expect([info.width, info.height]).toEqual([900, 840]);
  expect(await redRows(both, 450)).toEqual((await redRows(lower, 450)).map((y) => y + 480));
});
