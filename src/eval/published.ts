import type { ModelInfo } from "../model/model.js";

/** The models that the papers have rows for and that this library runs. */
export type PublishedModel = "LLaVA-1.5-7B" | "LLaVA-1.5-13B";

/** What the papers print for a task, in percent. */
export interface PublishedRow {
  /** SD-RPN, arXiv 2509.16944: tables 1 and 2 */
  none: number;
  vicrop: number;
  rpn: number;
}

type Numbers = readonly [none: number, vicrop: number, rpn: number];

/** Overall accuracy; POPE's is the accuracy, not F1. */
const ROWS: Record<PublishedModel, Record<string, Numbers>> = {
  "LLaVA-1.5-7B": {
    textvqa: [46.1, 57.2, 58.7],
    docvqa: [21.5, 27.0, 33.9],
    infovqa: [20.4, 21.4, 22.0],
    chartqa: [18.1, 20.0, 20.1],
    ocrbench: [31.4, 33.2, 37.0],
    vstar: [50.3, 52.4, 67.5],
    pope: [87.4, 88.6, 87.8],
    hrbench4k: [37.5, 47.8, 48.0],
    hrbench8k: [33.8, 36.1, 39.1],
  },
  "LLaVA-1.5-13B": {
    textvqa: [48.7, 60.3, 62.3],
    docvqa: [23.5, 30.2, 39.7],
    infovqa: [23.4, 25.9, 24.7],
    chartqa: [18.1, 20.1, 21.4],
    ocrbench: [33.7, 36.1, 38.8],
    vstar: [50.8, 51.8, 62.3],
    pope: [87.1, 88.7, 88.1],
    hrbench4k: [43.0, 53.3, 52.8],
    hrbench8k: [36.6, 40.6, 43.6],
  },
};

/** Throughput relative to one view, of the documents and OCR table, on one A6000 (SD-RPN table 1). */
export const PUBLISHED_THROUGHPUT: Record<PublishedModel, PublishedRow> = {
  "LLaVA-1.5-7B": { none: 1, vicrop: 0.42, rpn: 0.62 },
  "LLaVA-1.5-13B": { none: 1, vicrop: 0.39, rpn: 0.51 },
};

/** The papers' row of a task for a model; null where they have none. */
export function publishedRow(model: PublishedModel | null, task: string): PublishedRow | null {
  const numbers = model === null ? undefined : ROWS[model][task];
  return numbers ? { none: numbers[0], vicrop: numbers[1], rpn: numbers[2] } : null;
}

/** Which of the papers' models this is, judged by its sizes, since files are renamed; null for any other. */
export function publishedModel({ architecture, layers, embeddingLength, grid }: Pick<ModelInfo, "architecture" | "layers" | "embeddingLength" | "grid">): PublishedModel | null {
  if (architecture !== "llama" || grid.width !== 24 || grid.height !== 24) {
    return null;
  }
  const sizes = `${layers}x${embeddingLength}`;
  return sizes === "32x4096" ? "LLaVA-1.5-7B" : sizes === "40x5120" ? "LLaVA-1.5-13B" : null;
}
