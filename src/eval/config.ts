import { z } from "zod";
import type { ModelInfo } from "../model/model.js";
import { PRESET_NAMES } from "./presets.js";
import { TASK_NAMES } from "./task.js";

const pair = z.tuple([z.int(), z.int()]);
const budget = z.object({ min: z.int(), max: z.int() });

/**
 * config.json: everything that the predictions of a run depend on. A run is resumed only if all of it is the same, so it
 * contains nothing about the machine and no times.
 */
export const configSchema = z.object({
  format: z.literal(1),
  version: z.string(),
  task: z.enum(TASK_NAMES),
  /** absolute paths */
  data: z.string(),
  images: z.string().nullable(),
  split: z.string().nullable(),
  limit: z.int().nullable(),
  skipMissing: z.boolean(),
  strict: z.boolean(),
  /** in the order of the report */
  methods: z.array(z.string()),
  /** a published evaluation, with what it has for the task; options that were given win over it, and what counts is below */
  preset: z.object({ name: z.enum(PRESET_NAMES), threshold: z.number(), gate: z.number().nullable(), imageTokens: budget }).nullable(),
  /** of the region proposal network; "best": the best of the sweep; null where the network is not used */
  threshold: z.union([z.number(), z.literal("best")]).nullable(),
  /** least score of the network's gate with which the network is asked; null: it is not asked */
  gate: z.number().nullable(),
  /** tokens of a view; null where all views have the same */
  imageTokens: budget.nullable(),
  maxTokens: z.int(),
  /** of the attention method */
  heads: z.object({ grounding: z.array(pair), sink: z.array(pair) }).nullable(),
  vicrop: z.object({ layer: z.int(), inputSize: z.int(), suffix: z.string() }).nullable(),
  /** files of regions */
  boxes: z.array(z.object({ name: z.string(), file: z.string(), sha256: z.string() })),
  /** the part of the data used for choosing a threshold */
  development: z
    .union([z.object({ share: z.number() }), z.object({ data: z.string(), images: z.string().nullable(), items: z.int(), sha256: z.string() })])
    .nullable(),
  /** thresholds tried on it */
  sweep: z.array(z.number()).nullable(),
  /** the items: how many, how many were skipped, and a digest of the questions and answers */
  items: z.object({ count: z.int(), skipped: z.int(), sha256: z.string() }),
  shard: z.object({ index: z.int(), count: z.int() }).nullable(),
  seed: z.int(),
  /** items that the page shows */
  examples: z.int(),
  model: z.object({
    name: z.string(),
    architecture: z.string(),
    layers: z.int(),
    embeddingLength: z.int(),
    vocabSize: z.int(),
    contextSize: z.int(),
    grid: z.object({ width: z.int(), height: z.int() }),
    imageSize: z.int(),
    prompt: z.string(),
    rpn: z
      .object({
        branchLayer: z.int(),
        blockCount: z.int(),
        type: z.string(),
        threshold: z.number(),
        baseName: z.string(),
        baseVocabSize: z.int(),
        kind: z.enum(["llava", "sdrpn-qwen", "qzoom"]),
        roiPositions: z.enum(["fresh", "aligned"]),
        imageTokens: budget.nullable(),
        gate: z.object({ blockCount: z.int(), threshold: z.number() }).nullable(),
      })
      .nullable(),
  }),
});

export type RunConfig = z.output<typeof configSchema>;

/** The properties of a model that its answers depend on; nothing about the machine. */
export function configModel(info: Readonly<ModelInfo>): RunConfig["model"] {
  const { name, architecture, layers, embeddingLength, vocabSize, contextSize, grid, imageSize, prompt, rpn } = info;
  return { name, architecture, layers, embeddingLength, vocabSize, contextSize, grid, imageSize, prompt, rpn };
}
