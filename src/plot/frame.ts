import type { Scale } from "./scale.js";
import { round, svgText, textWidth } from "./text.js";

/** Of the series in their order: colours of Okabe and Ito, which people who confuse red and green can tell apart. */
export const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c"] as const;

const TEXT = "#24292f";
const FAINT = "#57606a";
const GRID = "#e2e6ea";
const AXIS = "#8c959f";

/** Sizes of text in pixels. */
export const FONT = { title: 18, label: 14, tick: 13 } as const;

export function colorOf(index: number): string {
  return COLORS[index % COLORS.length];
}

/** Where the data goes, in pixels of the chart. */
export interface Area {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface FrameOptions {
  title: string;
  xLabel: string;
  yLabel: string;
  series: readonly { name: string; color: string }[];
  width: number;
}

/** Title at the top, legend below it where there are several series or one with a name: heights in pixels. */
function headHeight(options: FrameOptions): number {
  return 40 + 24 * legendRows(options).length;
}

/** The legend's entries, as many to a row as fit. */
function legendRows({ series, width }: FrameOptions): { name: string; color: string; x: number }[][] {
  const named = series.filter(({ name }) => name !== "");
  const rows: { name: string; color: string; x: number }[][] = [];
  let x = Infinity;
  for (const { name, color } of named) {
    const needed = 26 + textWidth(name, FONT.label) + 22;
    if (x + needed > width) {
      rows.push([]);
      x = 24;
    }
    rows[rows.length - 1].push({ name, color, x });
    x += needed;
  }
  return rows;
}

/** @param yTicks labels of the vertical axis, whose width makes the left margin */
export function areaOf(options: FrameOptions, height: number, yTicks: readonly string[], bottom = 58, headroom = 8): Area {
  const widest = Math.max(0, ...yTicks.map((label) => textWidth(label, FONT.tick)));
  return { left: Math.round(48 + widest), top: headHeight(options) + headroom, right: options.width - 24, bottom: height - bottom };
}

/** Background, title, legend, grid lines, the vertical axis's marks and both labels. */
export function frame(options: FrameOptions, height: number, area: Area, y: Scale): string {
  const { title, xLabel, yLabel, width } = options;
  const parts = [`<rect width="${width}" height="${height}" fill="#ffffff"/>`, svgText(title, 24, 30, { size: FONT.title, color: TEXT })];
  legendRows(options).forEach((row, index) => {
    const base = 56 + 24 * index;
    for (const { name, color, x } of row) {
      parts.push(`<rect x="${round(x)}" y="${base - 9}" width="18" height="8" rx="2" fill="${color}"/>`);
      parts.push(svgText(name, x + 26, base, { size: FONT.label, color: TEXT }));
    }
  });
  for (const { value, label } of y.ticks) {
    const at = round(y.at(value));
    parts.push(`<path d="M${area.left} ${at}H${area.right}" stroke="${GRID}"/>`);
    parts.push(svgText(label, area.left - 8, at + FONT.tick * 0.36, { size: FONT.tick, color: FAINT, anchor: "end" }));
  }
  parts.push(`<path d="M${area.left} ${area.bottom}H${area.right}" stroke="${AXIS}"/>`);
  parts.push(svgText(xLabel, (area.left + area.right) / 2, height - 14, { size: FONT.label, color: TEXT, anchor: "middle" }));
  parts.push(svgText(yLabel, 22, (area.top + area.bottom) / 2, { size: FONT.label, color: TEXT, anchor: "middle", vertical: true }));
  return parts.join("");
}

/** A mark's label below the horizontal axis. */
export function xTick(label: string, x: number, area: Area): string {
  return svgText(label, x, area.bottom + 20, { size: FONT.tick, color: FAINT, anchor: "middle" });
}

export function svgOf(width: number, height: number, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${body}</svg>`;
}
