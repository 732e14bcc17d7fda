import type { EChartsOption, init } from "echarts";

/** What a build of ECharts gives. */
export interface ECharts {
  init: typeof init;
}

/**
 * ECharts' build of lines, bars and SVG, one file that the package brings along (docs/decisions/092-echarts.md). Loaded for the first
 * chart, not with the library.
 */
function loadECharts(): ECharts {
  return require("#echarts") as ECharts;
}

/** Of the series in their order: colours of Okabe and Ito, which people who confuse red and green can tell apart. */
export const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c"];

const TEXT = "#24292f";
const FAINT = "#57606a";
const FONT = "system-ui, 'DejaVu Sans', Arial, sans-serif";

export interface ChartFrame {
  title: string;
  /** of the series in the legend */
  legend: readonly string[];
  /** in pixels */
  width: number;
  height: number;
}

/** Title, legend and area that all charts share; the rest of the option comes on top. */
export function frameOption({ title, legend, width }: ChartFrame): EChartsOption {
  return {
    animation: false,
    backgroundColor: "#ffffff",
    color: COLORS,
    textStyle: { fontFamily: FONT, color: TEXT },
    title: { text: title, left: 24, top: 14, padding: 0, textStyle: { fontFamily: FONT, fontSize: 18, fontWeight: "normal", color: TEXT, width: width - 48, overflow: "truncate" } },
    legend: { data: [...legend], left: 24, top: 44, padding: 0, itemGap: 34, itemWidth: 22, icon: "roundRect", itemHeight: 8, textStyle: { fontSize: 14, color: TEXT } },
    grid: { left: 24, right: 32, top: legend.length === 0 ? 56 : 78, bottom: 16, outerBoundsMode: "same", outerBoundsContain: "all" },
  };
}

/** What the axes of all charts share. */
export const AXIS = {
  nameLocation: "middle" as const,
  nameTextStyle: { fontSize: 14, color: TEXT },
  axisLabel: { fontSize: 13, color: FAINT, hideOverlap: true, formatter: tickText },
  axisLine: { lineStyle: { color: "#8c959f" } },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: "#e2e6ea" } },
};

/** "0.25", "1,500"; ECharts' own text shows what binary fractions make of 0.0001. */
function tickText(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 12 });
}

/** The option's chart as an SVG document, the same bytes for the same option. Its text is text: the viewer has the fonts. */
export function renderSvg(option: EChartsOption, { width, height }: Pick<ChartFrame, "width" | "height">, library: ECharts = loadECharts()): string {
  const chart = library.init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption(option);
    return withoutHandles(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/**
 * Without what a page would need to react to the mouse: its names count the charts of the process, so they would differ from
 * run to run and could clash within a page. The clip paths go with them: no chart here draws outside of its axes.
 */
function withoutHandles(svg: string): string {
  return svg
    .replace(/<(style|defs)[\s\S]*?<\/\1>\n?/g, "")
    .replace(/ (?:class="zr[^"]*"|clip-path="[^"]*"|pointer-events="visible"|ecmeta_\w+="[^"]*")/g, "");
}

/** Charts of {@link renderSvg} below each other in one document. */
export function stackSvg(charts: readonly string[]): string {
  const sizes = charts.map((chart) => (/^<svg width="(\d+)" height="(\d+)"/.exec(chart) ?? []).slice(1).map(Number));
  const width = Math.max(...sizes.map(([one]) => one));
  const height = sizes.reduce((sum, [, one]) => sum + one, 0);
  let top = 0;
  const placed = charts.map((chart, index) => {
    const nested = chart.replace(/^<svg /, `<svg y="${top}" `);
    top += sizes[index][1];
    return nested;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n${placed.join("\n")}\n</svg>\n`;
}
