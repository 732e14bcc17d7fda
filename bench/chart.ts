import { barChart, type BarSeries } from "#lib/plot/bar-chart.js";
import { chartsToPng } from "#lib/plot/png.js";
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

/** How long each kind of call takes compared with the reference flow, as a PNG; the marks reach from the smallest ratio to the largest. */
export function ratioChart(flow: Measured, title: string): Promise<Buffer> {
  const series = (name: string, figure: (sample: Sample) => number): BarSeries => {
    const ratios = CALLS.map(([, call]) => summarize(pairedRatios(flow[call].map(figure), flow.reference.map(figure))));
    return { name, values: ratios.map(({ median }) => median), intervals: ratios.map(({ min, max }, i) => (i === 0 ? null : [min, max])) };
  };
  const chart = barChart({
    title,
    yLabel: "time, reference flow = 1",
    categories: CALLS.map(([label]) => label),
    series: [series("whole call", (sample) => sample.ms), series("language model and network only", (sample) => sample.llm ?? NaN)],
    format: (value) => value.toFixed(2),
  });
  return chartsToPng([chart]);
}
