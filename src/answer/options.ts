import { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import { abortSignal as signal, callback, historySchema, imageTokensSchema, systemSchema } from "../base/schemas.js";
import type { Box, ImageOptions, RegionMethod, Turn } from "../base/types.js";
import { invalidArgument, parseOptions } from "../base/validate.js";
import { imageOptionsShape } from "../image/taken-picture.js";
import type { JsonFormat } from "./form/format.js";
import { type Form, jsonForm } from "./form/json-form.js";

// boxes of results have a score, and can be given as they are
const box = z.strictObject({ x: z.number(), y: z.number(), width: z.number().positive(), height: z.number().positive(), score: z.number().optional() });

const schema = z
  .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value))
  .describe("zod schema or object of JSON Schema");

const choice = z
  .string()
  .refine((text) => text !== "" && text.trim() === text)
  .describe("text without white space at its ends");

const method = z.enum(["rpn", "attention", "vicrop"]).optional();

const gate = z.union([z.literal("auto"), z.number().min(0).max(1), z.literal(false)]).default("auto");

const tiles = z.union([z.literal("auto"), z.int().min(2).max(64)]).optional();

export const predictSchema = z.strictObject({
  method,
  threshold: z.number().min(-1).max(1).optional(),
  gate,
  tiles,
  imageTokens: imageTokensSchema.optional(),
  system: systemSchema.optional(),
  ...imageOptionsShape,
  exact: z.boolean().default(false),
  signal,
});

export const answerSchema = z.strictObject({
  roi: z
    .union([z.enum(["auto", "always", "never"]), z.array(box)])
    .describe('"auto", "always", "never" or array of boxes { x, y, width, height }')
    .default("auto"),
  method,
  threshold: z.number().min(-1).max(1).optional(),
  gate,
  tiles,
  roiPositions: z.enum(["fresh", "aligned"]).optional(),
  imageTokens: imageTokensSchema.optional(),
  system: systemSchema.optional(),
  history: historySchema.optional(),
  ...imageOptionsShape,
  maxTokens: z.int().min(1).max(1 << 20).default(128),
  temperature: z.number().min(0).max(100).default(0),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.int().min(0).default(0),
  seed: z.int().min(0).max(0xffffffff).optional(),
  exact: z.boolean().default(false),
  stop: z.union([z.string().min(1), z.array(z.string().min(1))]).default([]),
  grammar: z.string().min(1).optional(),
  format: z.strictObject({ type: z.literal("json"), schema }).optional(),
  choices: z.array(choice).min(2).max(256).optional(),
  logprobs: z.union([z.boolean(), z.int().min(1).max(20)]).default(false),
  onToken: callback<(text: string) => void>(),
  signal,
});

export type CheckedPredictOptions = z.output<typeof predictSchema>;

/** Options of an answer, checked, and the form that `format` means. */
export type CheckedAnswerOptions = z.output<typeof answerSchema> & { form?: Form };

/** @throws {SdRpnError} INVALID_ARGUMENT */
export function parseAnswerOptions(options: unknown): CheckedAnswerOptions {
  const parsed = parseOptions(answerSchema, options);
  const checked = { ...parsed, ...(parsed.history && !parsed.exact && { history: parsed.history.map(trimmed) }) };
  const { format, grammar, stop, choices } = checked;
  if (choices) {
    checkChoices(choices, options as AnswerOptions);
  }
  if (format === undefined) {
    return checked;
  }
  if (grammar !== undefined) {
    throw invalidArgument("no grammar beside a format, which is one itself,", "grammar", grammar);
  }
  if (stop.length > 0) {
    throw invalidArgument("no text beside a format, which ends by itself,", "stop", stop);
  }
  return { ...checked, form: jsonForm(format.schema) };
}

function trimmed({ role, text }: Turn): Turn {
  return { role, text: text.trim() };
}

// of writing an answer, which choices are not
const OF_WRITING = ["maxTokens", "temperature", "topP", "topK", "seed", "stop", "grammar", "format", "logprobs"] as const satisfies readonly (keyof AnswerOptions)[];

function checkChoices(choices: readonly string[], options: AnswerOptions): void {
  const twice = choices.find((text, index) => choices.indexOf(text) !== index);
  if (twice !== undefined) {
    throw invalidArgument("different texts", "choices", twice);
  }
  const other = OF_WRITING.find((name) => options[name] !== undefined);
  if (other !== undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected no ${other} beside choices, of which the likeliest is taken: leave out one of the two`);
  }
}

/** Options of `predictRoI`. */
export interface PredictOptions extends ImageOptions {
  /**
   * "rpn": the region proposal network, the default where one was loaded. "attention": the attention of the model's own answer in the heads
   * that were loaded, the default where there are heads and no network. "vicrop": ViCrop's relative attention, which needs
   * neither. Both take longer than the network (docs/answers.md).
   */
  method?: RegionMethod;
  /**
   * "rpn": see `boxesFromMap`; default: the RPN file's, else 0.15. "attention": the part of the greatest attention, 0..1, that a cell
   * exceeds; a negative one is the same; default 0.2. "vicrop" has none.
   */
  threshold?: number;
  /**
   * Networks with a gate (Q-Zoom) say first whether a second look is worth it: the least score with which it is, 0..1. "auto"
   * (default): the RPN file's; false: the gate is not asked. Roi "always" goes past it.
   */
  gate?: "auto" | number | false;
  /**
   * For pictures that are too tall, wide or large for one view: the network is asked in each of several overlapping windows, and the best
   * region is read. "auto": squares along the longer side of a picture more than 1.5 times as long as wide, at most 16; a number, 2 to 64: at most so many
   * windows, in the rows and columns that show most. Each window costs as much as a picture; their states are kept for the next question.
   */
  tiles?: "auto" | number;
  /**
   * How many tokens a view may take, of the picture and of its crop, at most 4,096; by default the load's, else the RPN file's. For models
   * whose views differ in size (Qwen-VL); a session's are fixed when it is opened.
   */
  imageTokens?: { min: number; max: number };
  /** stands before the picture, in the place of the system text that the model's chat template may have; a session has that of `open` */
  system?: string;
  /** keeps white space at the ends of the question, which is taken off otherwise; default false */
  exact?: boolean;
  signal?: AbortSignal;
}

/** Options of a session's `predictRoI`: what stands before its picture was fixed when it was opened. */
export type SessionPredictOptions = Omit<PredictOptions, "system">;

/** Options of a session's `answer` and `answerStream`. */
export type SessionAnswerOptions<Format extends JsonFormat | undefined = JsonFormat | undefined> = Omit<AnswerOptions<Format>, "system">;

/** Options of a chat's `answer` and `answerStream`: it keeps the history itself. */
export type ChatAnswerOptions<Format extends JsonFormat | undefined = JsonFormat | undefined> = Omit<AnswerOptions<Format>, "system" | "history">;

/** Options of `answer` and `answerStream`. */
export interface AnswerOptions<Format extends JsonFormat | undefined = JsonFormat | undefined> extends ImageOptions {
  /**
   * "auto" (default): a second look if a region is found, the plain answer without an RPN unless a method is named. "always": the 3x3 cells around
   * the map's maximum where nothing passes the threshold; `roi.region` of the answer is what was read then. "never": one view. Boxes in source pixels: each is cut out and
   * read, in order.
   */
  roi?: "auto" | "always" | "never" | Box[];
  /** what finds the region, as in {@link PredictOptions}; for roi "auto" and "always" only */
  method?: RegionMethod;
  /** as in {@link PredictOptions} */
  threshold?: number;
  /**
   * Networks with a gate (Q-Zoom) say first whether a second look is worth it: the least score with which it is, 0..1. "auto"
   * (default): the RPN file's; false: the gate is not asked. Roi "always" goes past it.
   */
  gate?: "auto" | number | false;
  /** as in {@link PredictOptions} */
  tiles?: "auto" | number;
  /**
   * Positions of the second look's tokens (Q-Zoom): "fresh" ones behind the picture's, or "aligned" with the cells that they show. Default:
   * the RPN file's.
   */
  roiPositions?: "fresh" | "aligned";
  /**
   * How many tokens a view may take, of the picture and of its crop, at most 4,096; by default the load's, else the RPN file's. For models
   * whose views differ in size (Qwen-VL); a session's are fixed when it is opened.
   */
  imageTokens?: { min: number; max: number };
  /** as in {@link PredictOptions} */
  system?: string;
  /**
   * What was said before, the user's message first, in turns as the model's chat template takes them. The answer reads it; the region is looked for
   * with the question alone. With a history, be it empty, the call is one of a conversation: it keeps what it computed for the next one.
   */
  history?: Turn[];
  /** keeps white space at the ends of question and history, which is taken off otherwise; default false */
  exact?: boolean;
  /** default 128 */
  maxTokens?: number;
  /** 0 (default): greedy */
  temperature?: number;
  /** default 1: off */
  topP?: number;
  /** default 0: off */
  topK?: number;
  /** of sampling; default: a random one */
  seed?: number;
  /** the answer ends before any of these */
  stop?: string | string[];
  /**
   * The answer is a text of this grammar, in llama.cpp's GBNF, whose first rule is `root`. White space at the ends of what it
   * matches is not part of the answer's text.
   */
  grammar?: string;
  /**
   * The answer is JSON of a schema, of zod 4 or of JSON Schema, and `value` in the result is what it says. What a grammar cannot hold,
   * such as the bounds of fractions or zod's refinements, is checked afterwards.
   */
  format?: Format;
  /**
   * The answer is the likeliest of these texts, 2 to 256: `choices` in the result has the probability of each, `confidence` that of the answer.
   * Nothing is written, so options about writing do not go with it.
   */
  choices?: string[];
  /**
   * `logprobs` and `confidence` in the result: how likely the model found each token, before temperature, topP, topK and
   * grammar. A number, 1 to 20, adds so many of the likeliest tokens in its place. Default false.
   */
  logprobs?: boolean | number;
  /** receives the text in pieces as it is generated; joined they are the text of the answer */
  onToken?: (text: string) => void;
  signal?: AbortSignal;
}
