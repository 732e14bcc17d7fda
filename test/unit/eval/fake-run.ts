import type { RunConfig } from "../../../src/eval/config";
import type { Prediction } from "../../../src/eval/prediction";
import type { EvalItem } from "../../../src/eval/task";

export const item = (id: string, more: Partial<EvalItem> = {}): EvalItem => ({
  id,
  image: `/pictures/${id}.png`,
  imageName: `${id}.png`,
  prompt: `What is ${id}?`,
  question: `What is ${id}?`,
  answers: ["yes"],
  ...more,
});

export const prediction = (index: number, method: string, score: number | null, more: Partial<Prediction> = {}): Prediction => ({
  index,
  id: String(index),
  method,
  text: score === 1 ? "yes" : "no",
  finishReason: "stop",
  score,
  parsed: true,
  crops: [],
  kept: null,
  map: null,
  tokens: { prompt: 100, roi: 0, completion: 2, look: 0 },
  ...more,
});

/** Predictions of one method with these scores. */
export const rowsOf = (method: string, scores: readonly (number | null)[], more: Partial<Prediction> = {}): Prediction[] =>
  scores.map((score, index) => prediction(index, method, score, more));

export const config = (methods: string[], more: Partial<RunConfig> = {}): RunConfig => ({
  format: 1,
  version: "0.0.0",
  task: "custom",
  data: "/data.jsonl",
  images: null,
  split: null,
  limit: null,
  skipMissing: false,
  strict: false,
  methods,
  preset: null,
  threshold: 0.15,
  gate: null,
  imageTokens: null,
  maxTokens: 16,
  heads: null,
  vicrop: null,
  boxes: [],
  development: null,
  sweep: null,
  items: { count: 4, skipped: 0, sha256: "" },
  shard: null,
  seed: 0,
  examples: 40,
  model: {
    name: "llava",
    architecture: "llama",
    layers: 32,
    embeddingLength: 4096,
    vocabSize: 32000,
    contextSize: 4096,
    grid: { width: 24, height: 24 },
    imageSize: 336,
    prompt: "vicuna_v1",
    rpn: null,
  },
  ...more,
});
