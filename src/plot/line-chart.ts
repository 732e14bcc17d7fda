import { areaOf, colorOf, frame, svgOf, xTick } from "./frame.js";
import { makeScale, niceRange } from "./scale.js";
import { round } from "./text.js";

export interface LineSeries {
  /** for the legend; an empty one is left out of it */
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** a line, the same with a dot at each point, or a thin and pale line for what is noisy; default line */
  style?: "line" | "dots" | "faint";
  /** default: by the series's place */
  color?: string;
}

export interface LineChart {
  title: string;
  xLabel: string;
  yLabel: string;
  series: readonly LineSeries[];
  /** ends of the vertical axis; default: of the data */
  yMin?: number;
  yMax?: number;
  /** logarithmic, where all values are above 0 */
  yLog?: boolean;
  /** in pixels; default 900 x 480 */
  width?: number;
  height?: number;
}

/** A line chart as an SVG document. Points that are no finite numbers are left out. */
export function lineChart(chart: LineChart): string {
  const { width = 900, height = 480 } = chart;
  const series = chart.series.map(({ name, points, style = "line", color }, index) => ({
    name,
    style,
    color: color ?? colorOf(index),
    points: points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)),
  }));
  const all = series.flatMap(({ points }) => points);
  const xs = rangeOf(all.map(([x]) => x));
  const log = chart.yLog === true && all.every(([, y]) => y > 0);
  const found = rangeOf([...all.map(([, y]) => y), ...[chart.yMin, chart.yMax].filter((end) => end !== undefined)]);
  const [low, high] = log ? found : niceRange(chart.yMin ?? found[0], chart.yMax ?? found[1]);

  const head = { title: chart.title, xLabel: chart.xLabel, yLabel: chart.yLabel, series, width };
  const labels = makeScale({ low, high, from: 1, to: 0, log }).ticks.map(({ label }) => label);
  const area = areaOf(head, height, labels);
  const y = makeScale({ low, high, from: area.bottom, to: area.top, log });
  const x = makeScale({ low: xs[0], high: xs[1], from: area.left, to: area.right, count: 8 });

  const body = [frame(head, height, area, y), ...x.ticks.map(({ value, label }) => xTick(label, x.at(value), area))];
  for (const { points, style, color } of series) {
    const path = points.map(([px, py], index) => `${index === 0 ? "M" : "L"}${round(x.at(px))} ${round(y.at(py))}`).join("");
    const stroke = style === "faint" ? 'stroke-width="1" stroke-opacity="0.35"' : 'stroke-width="2"';
    body.push(`<path d="${path}" fill="none" stroke="${color}" ${stroke} stroke-linejoin="round"/>`);
    if (style === "dots" || points.length === 1) {
      body.push(...points.map(([px, py]) => `<circle cx="${round(x.at(px))}" cy="${round(y.at(py))}" r="4" fill="${color}"/>`));
    }
  }
  return svgOf(width, height, body.join(""));
}

/** Of nothing: 0 to 1. */
function rangeOf(values: readonly number[]): [low: number, high: number] {
  return values.length === 0 ? [0, 1] : [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}
