import { AXIS, COLORS, frameOption, renderSvg } from "./echarts.js";

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
  const { title, width = 900, height = 480 } = chart;
  const series = chart.series.map((one) => ({ ...one, points: one.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)) }));
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  const isLog = chart.yLog === true && values.length > 0 && values.every((y) => y > 0);

  const option = {
    ...frameOption({ title, legend: series.flatMap(({ name }) => (name === "" ? [] : [name])), width, height }),
    xAxis: { ...AXIS, type: "value" as const, name: chart.xLabel, nameGap: 34, min: "dataMin", max: "dataMax", splitLine: { show: false } },
    yAxis: { ...AXIS, type: isLog ? ("log" as const) : ("value" as const), name: chart.yLabel, nameGap: 46, min: chart.yMin, max: chart.yMax, axisLine: { show: false } },
    series: series.map(({ name, points, style = "line", color }, index) => ({
      type: "line" as const,
      name: name === "" ? `#${index}` : name,
      data: points.map(([x, y]) => [x, y]),
      color: color ?? COLORS[index % COLORS.length],
      lineStyle: style === "faint" ? { width: 1, opacity: 0.35 } : { width: 2 },
      showSymbol: style === "dots" || points.length === 1,
      symbol: "circle",
      symbolSize: 8,
      silent: true,
    })),
  };
  return renderSvg(option, { width, height });
}
