import { writeFileSync } from "node:fs";
import { join, relative, dirname } from "node:path";
import { demoQuestions, type DemoQuestion, ROOT } from "./demo";

const GRID = 12;
const CELL = 1008 / GRID;

/** The header of a label file of the demo model. */
export const LABEL_HEADER = {
  format: "sd-rpn-labels",
  version: 1,
  model: { name: "pico-llava", architecture: "llama", layers: 6, heads: 4, embeddingLength: 192, grid: { width: GRID, height: GRID } },
  heads: { grounding: [[3, 0]], sink: [] },
  constants: { sinkThreshold: 0.001, foregroundRatio: 0.2, backgroundRatio: 0.1, maxForegroundArea: 0.5, minAttention: 0 },
  maxTokens: 32,
  images: ".",
  shard: null,
};

/** Cells that the box touches are foreground, all others background. */
export function labelsOfBox([x0, y0, x1, y1]: DemoQuestion["box"]): string {
  return Array.from({ length: GRID * GRID }, (_, cell) => {
    const [x, y] = [(cell % GRID) * CELL, Math.floor(cell / GRID) * CELL];
    return x < x1 && x + CELL > x0 && y < y1 && y + CELL > y0 ? "1" : "0";
  }).join("");
}

/** Lines of a label file: the demo's questions about codes, labelled by the boxes that the drawing program kept. */
export function demoLabelLines(): Record<string, unknown>[] {
  return demoQuestions()
    .filter(({ kind }) => kind !== "coarse")
    .map(({ id, image, question, box }) => ({ id, image, question, text: "?", labels: labelsOfBox(box), kept: true }));
}

export function writeLabels(file: string, lines: readonly unknown[], header: object = LABEL_HEADER): string {
  const images = relative(dirname(file), join(ROOT, "demo"));
  writeFileSync(file, [{ images, ...header }, ...lines].map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return file;
}
