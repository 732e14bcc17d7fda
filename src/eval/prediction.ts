import { z } from "zod";
import type { Box, HeatMap, Size } from "../base/types.js";
import type { MethodAnswer, MethodTimings } from "./methods/method.js";
import type { ItemScore } from "./task.js";

const count = z.int().min(0);

/** A line of predictions.jsonl: what one method said about one item. */
export const predictionSchema = z.object({
  /** the item's place in the run, from 0, in the order of the data */
  index: count,
  id: z.string(),
  method: z.string(),
  text: z.string(),
  finishReason: z.enum(["stop", "length", "aborted", "error"]),
  /** code of the error that left the item without an answer, which counts as wrong */
  error: z.string().optional(),
  /** 0..1; null where the data has no answers (test splits) */
  score: z.number().nullable(),
  /** false where no rule of the task could read the text */
  parsed: z.boolean(),
  /** what the text was read as */
  reading: z.string().optional(),
  /** the crops of the second look, [x0, y0, x1, y1] in pixels of the picture */
  crops: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()])),
  /** how many of the crop's cells were fed to the model; null: all */
  kept: count.nullable(),
  /** the heat map, base64 of one byte per cell, 255 for 1; null where the method has none */
  map: z.string().nullable(),
  tokens: z.object({ prompt: count, roi: count, completion: count, look: count }),
});

export type Prediction = z.output<typeof predictionSchema>;

/** A line of timings.jsonl. */
export const timingSchema = z.object({
  index: count,
  id: z.string(),
  method: z.string(),
  /** the first item of a process includes one-time work: it is left out of the speed */
  first: z.boolean(),
  /** milliseconds */
  timings: z.object({
    decode: z.number(),
    vision: z.number(),
    prefill: z.number(),
    rpn: z.number(),
    crop: z.number(),
    generate: z.number(),
    look: z.number(),
    total: z.number(),
  } satisfies Record<keyof MethodTimings, z.ZodNumber>),
});

export type TimingLine = z.output<typeof timingSchema>;

export function toPrediction(at: { index: number; id: string; method: string }, answer: MethodAnswer, score: ItemScore | null): Prediction {
  const { text, finishReason, crops, keep, map, tokens } = answer;
  return {
    ...at,
    text,
    finishReason,
    score: score?.score ?? null,
    parsed: score?.parsed ?? true,
    ...(score?.reading === undefined ? {} : { reading: score.reading }),
    crops: crops.map(({ x, y, width, height }) => [x, y, x + width, y + height]),
    kept: keep?.length ?? null,
    map: map && Buffer.from(map.data.map((value) => Math.round(255 * Math.min(1, Math.max(0, value))))).toString("base64"),
    tokens,
  };
}

/** The prediction of an item that an error left without an answer. */
export function failedPrediction(at: { index: number; id: string; method: string }, code: string, scored: boolean): Prediction {
  return {
    ...at,
    text: "",
    finishReason: "error",
    error: code,
    score: scored ? 0 : null,
    parsed: false,
    crops: [],
    kept: null,
    map: null,
    tokens: { prompt: 0, roi: 0, completion: 0, look: 0 },
  };
}

export function cropsOf({ crops }: Prediction): Box[] {
  return crops.map(([x0, y0, x1, y1]) => ({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
}

/** The heat map over a model's grid, from its text. */
export function mapOf({ map }: Prediction, { width, height }: Size): HeatMap | null {
  return map === null ? null : { width, height, data: Float32Array.from(Buffer.from(map, "base64"), (value) => value / 255) };
}
