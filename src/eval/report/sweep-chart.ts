import { lineChart } from "../../plot/line-chart.js";
import type { SweepCurve } from "../sweep.js";

/** The curve of accuracy against threshold with its interval, an SVG document. */
export function sweepChart({ figure, points, items, best }: SweepCurve): string {
  const scale = figure.unit === "share" ? 100 : 1;
  const line = (value: (point: SweepCurve["points"][number]) => number) => points.map((point) => [point.threshold, scale * value(point)] as const);
  return lineChart({
    title: `Threshold on ${items} items of the development part, best ${best}`,
    xLabel: "threshold",
    yLabel: figure.unit === "share" ? `${figure.label}, %` : figure.label,
    yMin: 0,
    series: [
      { name: figure.label, points: line(({ value }) => value), style: "dots" },
      { name: "95% interval", points: line(({ low }) => low), style: "faint", color: "#808080" },
      { name: "", points: line(({ high }) => high), style: "faint", color: "#808080" },
      ...(figure.unit === "share" ? [{ name: "regions found", points: line(({ found }) => found), style: "line" as const }] : []),
    ],
  });
}
