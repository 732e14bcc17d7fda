import type { Figure } from "../task.js";
import type { Estimate } from "./summary.js";

/** Shares in percent with one digit, counts unchanged; "-" for a missing value. */
export function formatFigure(value: number | null, unit: Figure["unit"] = "share"): string {
  if (value === null || Number.isNaN(value)) {
    return "-";
  }
  return unit === "share" ? (100 * value).toFixed(1) : value.toFixed(0);
}

/** "58.7 [57.3, 60.1]" */
export function formatEstimate(estimate: Estimate | null): string {
  if (estimate === null) {
    return "-";
  }
  const { value, low, high, unit } = estimate;
  return `${formatFigure(value, unit)} [${formatFigure(low, unit)}, ${formatFigure(high, unit)}]`;
}

/** With a sign: "+12.6" */
export function formatSigned(value: number, unit: Figure["unit"] = "share"): string {
  const text = formatFigure(value, unit);
  return value > 0 ? `+${text}` : text;
}

/** Three significant digits, and no more zeros than can be told apart from nothing. */
export function formatP(p: number): string {
  return p >= 0.001 ? p.toPrecision(3) : p < 1e-300 ? "< 1e-300" : p.toExponential(1);
}

/** A table in Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`, ...rows.map(line)].join("\n");
}

/** A budget of tokens: "256-576", or "576" where all views have as many. */
export function formatBudget({ min, max }: { min: number; max: number }): string {
  return min === max ? String(max) : `${min}-${max}`;
}
