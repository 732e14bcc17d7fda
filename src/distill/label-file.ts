import { dirname, relative, resolve } from "node:path";
import { z } from "zod";
import { checkEntry, readJsonl } from "../data/jsonl.js";
import { type DataPlace, dataInvalid } from "../base/errors.js";
import type { Size } from "../base/types.js";
import { headPairSchema } from "../engine/head-choice.js";
import { type ModelIdentity, modelDifference, modelIdentitySchema } from "../engine/model-identity.js";
import type { PseudoLabel } from "../roi/pseudo-labels.js";

export const LABEL_FORMAT = "sd-rpn-labels";
export const LABEL_VERSION = 1;

/** The first line of a label file: everything that its labels depend on. */
export const labelHeaderSchema = z.object({
  format: z.literal(LABEL_FORMAT),
  version: z.literal(LABEL_VERSION),
  model: modelIdentitySchema,
  heads: z.object({ grounding: z.array(headPairSchema).min(1), sink: z.array(headPairSchema) }),
  constants: z.object({
    sinkThreshold: z.number(),
    foregroundRatio: z.number(),
    backgroundRatio: z.number(),
    maxForegroundArea: z.number(),
    minAttention: z.number(),
  }),
  maxTokens: z.int().min(1),
  /** folder of the pictures, relative to the label file's */
  images: z.string(),
  shard: z.object({ index: z.int(), count: z.int() }).nullable(),
});

export type LabelHeader = z.output<typeof labelHeaderSchema>;

/** The other lines: a pair with its labels, or with its error. */
export const labelLineSchema = z.object({
  id: z.string(),
  image: z.string(),
  question: z.string(),
  /** the model's greedy answer with one view */
  text: z.string().optional(),
  /** generated, the end token included */
  tokens: z.int().optional(),
  logLikelihood: z.number().optional(),
  /** one character per cell, row-major: 1 foreground, 0 background, . left out of the loss; null where all of them are left out */
  labels: z
    .string()
    .regex(/^[01.]*$/)
    .describe("text of 1, 0 and .")
    .nullish(),
  /** whether any cell is foreground or background */
  kept: z.boolean().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

export type LabelLine = z.output<typeof labelLineSchema>;

/** A pair for training. */
export interface LabelEntry {
  id: string;
  /** absolute path of the picture */
  path: string;
  question: string;
  text: string;
  /** 1, 0 or -100 per cell, row-major */
  labels: Int8Array;
  /** where `image` stands in the label file */
  place: DataPlace;
}

export interface LabelSet {
  header: LabelHeader;
  grid: Size;
  /** the pairs that are kept, in the file's order */
  entries: LabelEntry[];
  /** pairs whose cells are all left out, and pairs that failed */
  ignored: number;
  failed: number;
}

export interface ReadLabelOptions {
  /** folder of the pictures; by default the one that the header names, relative to the label file */
  images?: string;
  /** the model to be trained: labels made with another one are refused */
  model?: ModelIdentity;
  signal?: AbortSignal;
}

/**
 * Reads a label file.
 *
 * @throws {SdRpnError} DATA_INVALID (file, line, column) for a broken line, a missing header, labels of another model (the message
 *   names the difference), labels that do not fit the grid, an id that occurs twice; IO_ERROR; ABORTED
 */
export async function readLabels(file: string, options: ReadLabelOptions = {}): Promise<LabelSet> {
  let header: LabelHeader | undefined;
  let folder = "";
  let ignored = 0;
  let failed = 0;
  const ids = new Set<string>();
  const entries: LabelEntry[] = [];
  for await (const { value: raw, at } of readJsonl(file, z.unknown(), options)) {
    if (!header) {
      header = checkHeader(raw, at, options.model);
      folder = options.images === undefined ? resolve(dirname(file), header.images) : resolve(options.images);
      continue;
    }
    const value = checkEntry(labelLineSchema, raw, at);
    if (ids.has(value.id)) {
      throw dataInvalid(at(["id"]), `Expected each id once but ${value.id} occurs twice`);
    }
    ids.add(value.id);
    if (value.error) {
      failed++;
    } else if (!value.labels) {
      ignored++;
    } else {
      const { id, image, question, text = "" } = value;
      entries.push({ id, path: resolve(folder, image), question, text, labels: decodeLabels(value.labels, header.model.grid, at), place: at(["image"]) });
    }
  }
  return { header: header!, grid: header!.model.grid, entries, ignored, failed };
}

function checkHeader(value: unknown, at: (path: string[]) => DataPlace, model: ModelIdentity | undefined): LabelHeader {
  const { success, data } = labelHeaderSchema.safeParse(value);
  if (!success) {
    throw dataInvalid(at([]), `Expected the header of a label file (format ${LABEL_FORMAT}, version ${LABEL_VERSION}) in its first line: write label files with \`sd-rpn distill label\``);
  }
  const difference = model && modelDifference(data.model, model);
  if (difference) {
    throw dataInvalid(at(["model", difference.key]), `The labels were made with a different model: ${difference.key} ${difference.found} instead of ${difference.expected}`);
  }
  return data;
}

function decodeLabels(text: string, grid: Size, at: (path: string[]) => DataPlace): Int8Array {
  const cells = grid.width * grid.height;
  if (text.length !== cells) {
    throw dataInvalid(at(["labels"]), `Expected ${cells} labels, one per cell of the ${grid.width}x${grid.height} grid, but received ${text.length}`);
  }
  return Int8Array.from(text, (cell) => (cell === "1" ? 1 : cell === "0" ? 0 : -100));
}

export function encodeLabels(labels: readonly PseudoLabel[]): string {
  return labels.map((label) => (label === 1 ? "1" : label === 0 ? "0" : ".")).join("");
}

/** `images` as the header of a label file has it, so that both can be moved together. */
export function imagesFrom(labelFile: string, images: string): string {
  return relative(resolve(dirname(labelFile)), resolve(images)) || ".";
}
