import { styleText } from "node:util";
import type { Hint } from "../base/hints.js";
import { plainCopy } from "../base/json.js";
import type { Box, RoI, Timings } from "../base/types.js";

type Style = Parameters<typeof styleText>[0];

/** The phases in the order in which they come. */
export const PHASES = ["decode", "vision", "prefill", "rpn", "crop", "generate", "total"] as const satisfies readonly (keyof Timings)[];

/** A line on stdout. */
export function printLine(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON document in one line; typed arrays as arrays of numbers. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(plainCopy(value)));
}

/** A line on stderr: what is no error but makes a wrong answer likely. */
export function printHint({ code, message }: Hint): void {
  process.stderr.write(`sd-rpn: ${code}: ${message}\n`);
}

/** Colours on a terminal that supports them, unless NO_COLOR is set. */
export function styled(style: Style, text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(style, text) : text;
}

export function formatMs(milliseconds: number): string {
  return milliseconds.toFixed(1);
}

/** "decode 4.1, vision 20.3, ..., total 60.0 ms", without the phases that did not run. */
export function formatTimings(timings: Timings): string {
  const ran = PHASES.filter((phase) => timings[phase] >= 0.05);
  return `${ran.map((phase) => `${phase} ${formatMs(timings[phase])}`).join(", ")} ms`;
}

/** "218 x 81 at 709, 711" */
export function formatBox({ x, y, width, height }: Box): string {
  const [w, h, left, top] = [width, height, x, y].map((value) => String(Math.round(value * 10) / 10));
  return `${w} x ${h} at ${left}, ${top}`;
}

export function formatRegion({ kind, crop, keep }: RoI["region"]): string {
  if (crop === null) {
    return kind;
  }
  return `${kind}, ${formatBox(crop)}${keep === null ? "" : `, ${keep.length} cells kept`}`;
}

/** Names and values in two columns. */
export function printTable(rows: readonly (readonly [string, string])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) {
    printLine(`${styled("bold", name.padEnd(width))}  ${value}`);
  }
}

/** "3.8 MB", in powers of ten as file managers count. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
