import { areaOf, colorOf, FONT, frame, svgOf } from "./frame.js";
import { makeScale, niceRange } from "./scale.js";
import { round, svgText, textWidth } from "./text.js";

export interface BarSeries {
  /** for the legend; an empty one is left out of it */
  name: string;
  /** one per category; null: no bar */
  values: readonly (number | null)[];
  /** ends of an interval around each value */
  intervals?: readonly (readonly [low: number, high: number] | null)[];
  /** default: by the series's place */
  color?: string;
}

export interface BarChart {
  title: string;
  xLabel?: string;
  yLabel: string;
  categories: readonly string[];
  series: readonly BarSeries[];
  /** end of the vertical axis, which begins at 0, or at the least value where that is below 0 */
  yMax?: number;
  /** the number on top of a bar; default: three digits */
  format?: (value: number) => string;
  /** in pixels; default 900 x 480 */
  width?: number;
  height?: number;
}

/** Bars in groups, one group per category, as an SVG document. Values that are no finite numbers have no bar. */
export function barChart(chart: BarChart): string {
  const { width = 900, height = 480, categories, format = (value) => String(Number(value.toPrecision(3))) } = chart;
  const series = chart.series.map((one, index) => ({ ...one, color: one.color ?? colorOf(index) }));
  const ends = series.flatMap(({ values, intervals }) => [...values, ...(intervals ?? []).flatMap((interval) => interval ?? [])]);
  const numbers = ends.filter((value): value is number => value !== null && Number.isFinite(value));
  const [low, high] = niceRange(Math.min(0, ...numbers), chart.yMax ?? (numbers.length === 0 ? 1 : Math.max(...numbers, 0)));

  const head = { title: chart.title, xLabel: chart.xLabel ?? "", yLabel: chart.yLabel, series, width };
  const labels = makeScale({ low, high, from: 1, to: 0 }).ticks.map(({ label }) => label);
  const area = areaOf(head, height, labels, chart.xLabel ? 62 : 40, 24); // numbers stand on the bars
  const y = makeScale({ low, high, from: area.bottom, to: area.top });
  const group = (area.right - area.left) / Math.max(1, categories.length);
  const bar = Math.min(64, (group * 0.8) / Math.max(1, series.length));
  const small = Math.min(FONT.tick, bar / 2.6); // numbers must fit side by side

  const body = [frame(head, height, area, y)];
  categories.forEach((category, c) => {
    const middle = area.left + group * (c + 0.5);
    const size = Math.min(FONT.tick, (FONT.tick * (group - 8)) / Math.max(1, textWidth(category, FONT.tick)));
    body.push(svgText(category, middle, area.bottom + 20, { size, color: "#24292f", anchor: "middle" }));
    series.forEach(({ values, intervals, color }, s) => {
      const value = values[c];
      if (value === null || value === undefined || !Number.isFinite(value)) {
        return;
      }
      const left = middle + bar * (s - series.length / 2) + 1;
      const [top, bottom] = [y.at(Math.max(0, value)), y.at(Math.min(0, value))];
      body.push(`<rect x="${round(left)}" y="${round(top)}" width="${round(bar - 2)}" height="${round(bottom - top)}" fill="${color}"/>`);
      const interval = intervals?.[c];
      const center = round(left + bar / 2 - 1);
      if (interval) {
        body.push(`<path d="M${center} ${round(y.at(interval[0]))}V${round(y.at(interval[1]))}m-4 0h8M${center - 4} ${round(y.at(interval[0]))}h8" stroke="#24292f" fill="none"/>`);
      }
      const above = Math.min(top, interval ? y.at(interval[1]) : top);
      body.push(svgText(format(value), center, above - 5, { size: small, color: "#24292f", anchor: "middle" }));
    });
  });
  return svgOf(width, height, body.join(""));
}
