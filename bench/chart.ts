import * as echarts from "echarts";
import type { CustomSeriesOption } from "echarts";
import { AXIS, COLORS, frameOption, renderSvg } from "#lib/plot/echarts.js";
import type { Measured } from "./measure.js";
import type { Sample } from "./protocol.js";
import { pairedRatios, summarize } from "./stats.js";

const CALLS: [label: string, name: string][] = [
  ["reference flow", "reference"],
  ["answer, first", "first"],
  ["answer, next", "next"],
  ["one view", "oneView"],
  ["region, first", "predictFirst"],
  ["region, next", "predictRepeat"],
];

/** A median ratio with the smallest and the largest. */
export interface Ratio {
  median: number;
  min: number;
  max: number;
}

/** width of a bar in that of a category, and the gap beside it in that of a bar */
const BAR = 0.38;
const GAP = 0.04;
const SIZE = { width: 900, height: 480 };

/** How long each kind of call takes compared with the reference flow; the marks reach from the smallest ratio to the largest. */
export function ratioChart(flow: Measured, title: string): string {
  const ratios = (figure: (sample: Sample) => number): Ratio[] => CALLS.map(([, call]) => summarize(pairedRatios(flow[call].map(figure), flow.reference.map(figure))));
  return drawRatios(title, { "whole call": ratios((sample) => sample.ms), "language model and network only": ratios((sample) => sample.llm ?? NaN) });
}

/** @param series a ratio for each of the calls, the reference flow first, by the legend's names */
export function drawRatios(title: string, series: Readonly<Record<string, readonly Ratio[]>>): string {
  const names = Object.keys(series);
  const bars = names.map((name) => ({
    type: "bar" as const,
    name,
    data: series[name].map(({ median }) => (Number.isFinite(median) ? median : null)),
    barWidth: `${100 * BAR}%`,
    barGap: `${100 * GAP}%`,
    silent: true,
  }));
  const option = {
    ...frameOption({ title, legend: names, ...SIZE }),
    xAxis: { ...AXIS, type: "category" as const, data: CALLS.map(([label]) => label), axisLabel: { ...AXIS.axisLabel, formatter: undefined, color: "#24292f", interval: 0 } },
    yAxis: { ...AXIS, type: "value" as const, name: "time, reference flow = 1", nameGap: 46, min: 0, axisLine: { show: false } },
    series: [...bars, ...names.map((name, index) => intervals(series[name], index, names.length))],
  };
  return renderSvg(option, SIZE, echarts);
}

/** From the smallest to the largest ratio, with the median in figures above; the reference flow has no interval. */
function intervals(ratios: readonly Ratio[], index: number, count: number): CustomSeriesOption {
  return {
    type: "custom",
    data: ratios.map(({ median, min, max }, call) => [call, median, min, max]),
    silent: true,
    color: COLORS[index],
    z: 3,
    renderItem: (_, api) => {
      const [call, median, min, max] = [0, 1, 2, 3].map((dimension) => Number(api.value(dimension)));
      if (!Number.isFinite(median)) {
        return null;
      }
      const categoryWidth = api.coord([1, 0])[0] - api.coord([0, 0])[0];
      const pixel = (value: number): number => api.coord([call, value])[1];
      const x = api.coord([call, 0])[0] + (index - (count - 1) / 2) * BAR * (1 + GAP) * categoryWidth;
      const top = call === 0 ? pixel(median) : pixel(max);
      const line = (x1: number, y1: number, x2: number, y2: number) => ({ type: "line" as const, shape: { x1, y1, x2, y2 }, style: { stroke: "#24292f" } });
      const label = { type: "text" as const, x, y: top - 5, style: { text: median.toFixed(2), fontSize: 13, fill: "#24292f", align: "center" as const, verticalAlign: "bottom" as const } };
      const marks = call === 0 ? [] : [line(x, pixel(min), x, pixel(max)), line(x - 4, pixel(min), x + 4, pixel(min)), line(x - 4, pixel(max), x + 4, pixel(max))];
      return { type: "group", children: [label, ...marks] };
    },
  };
}
