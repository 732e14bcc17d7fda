import { stackSvg } from "../plot/echarts.js";
import { lineChart } from "../plot/line-chart.js";
import type { TrainEvaluation, TrainStep } from "./train-options.js";

/** The course of a training as an SVG document: loss of the steps and of the held-out pairs, and precision and recall of the latter. */
export function trainCurve({ steps, evaluations }: { steps: readonly TrainStep[]; evaluations: readonly TrainEvaluation[] }): string {
  const losses = steps.map(({ step, loss }) => [step, loss] as const);
  const window = Math.max(1, Math.round(steps.length / 40));
  const charts = [
    lineChart({
      title: "Training of the region proposal network",
      xLabel: "step",
      yLabel: "loss per cell (binary cross entropy)",
      yLog: true,
      series: [
        { name: "", points: losses, style: "faint", color: "#0072b2" },
        { name: window > 1 ? `training, mean of ${window} steps` : "training", points: smooth(losses, window), color: "#0072b2" },
        { name: "held-out pairs", points: evaluations.map(({ step, loss }) => [step, loss]), style: "dots", color: "#d55e00" },
      ],
    }),
  ];
  if (evaluations.length > 0) {
    charts.push(
      lineChart({
        title: "Cells of the held-out pairs, probability above 0.5",
        xLabel: "step",
        yLabel: "share of cells",
        yMin: 0,
        yMax: 1,
        height: 360,
        series: [
          { name: "precision", points: evaluations.map(({ step, precision }) => [step, precision]), style: "dots", color: "#009e73" },
          { name: "recall", points: evaluations.map(({ step, recall }) => [step, recall]), style: "dots", color: "#cc79a7" },
        ],
      }),
    );
  }
  return stackSvg(charts);
}

/** Each point as the mean of the `window` points that end with it, fewer at the start. */
function smooth(points: readonly (readonly [number, number])[], window: number): [number, number][] {
  let sum = 0;
  return points.map(([x, y], index) => {
    sum += y - (index >= window ? points[index - window][1] : 0);
    return [x, sum / Math.min(window, index + 1)];
  });
}
