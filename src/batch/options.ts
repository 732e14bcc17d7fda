import { z } from "zod";
import type { AnswerOf, JsonFormat } from "../answer/form/format.js";
import { type AnswerOptions, type CheckedAnswerOptions, parseAnswerOptions } from "../answer/options.js";
import { SdRpnError } from "../base/errors.js";
import { questionSchema } from "../base/schemas.js";
import type { Answer, ImageInput } from "../base/types.js";
import { parseOptions } from "../base/validate.js";

/** One of many questions about pictures. */
export interface BatchItem {
  /** default: the item's number, from 1 */
  id?: string;
  /** one, or several for models that take them */
  image: ImageInput | readonly ImageInput[];
  /** default: that of the options */
  question?: string;
}

/** Options of `batch`: those of `answer`, which hold for every item, and these. */
export interface BatchOptions<Format extends JsonFormat | undefined = JsonFormat | undefined> extends Omit<AnswerOptions<Format>, "onToken"> {
  /** of items without one of their own */
  question?: string;
  /** items in work at a time, 1 to 1,024; default 2 * parallel + 2, which keeps the model busy while pictures are read */
  concurrency?: number;
}

interface OfItem {
  id: string;
  image: BatchItem["image"];
  question: string;
  /** for JSON.stringify: the image where it is a path or URL, the answer as its own toJSON gives it, the error's code and message */
  toJSON(): BatchLine;
}

/** An item that was answered. */
export interface BatchAnswer<Whole extends Answer = Answer> extends OfItem {
  answer: Whole;
  error?: undefined;
}

/** An item whose picture, question or boxes could not be read or do not fit. */
export interface BatchFailure extends OfItem {
  answer?: undefined;
  error: SdRpnError;
}

/** What `batch` yields for an item. */
export type BatchResult<Format extends JsonFormat | undefined = JsonFormat | undefined> = BatchAnswer<AnswerOf<Format>> | BatchFailure;

/** A line of a file of answers. */
export type BatchLine = {
  id: string;
  /** the path or URL that was given; null for pictures in memory and data URIs; of several an array */
  image: string | null | (string | null)[];
  question: string;
  answer?: ReturnType<Answer["toJSON"]>;
  error?: { code: string; message: string };
};

export const batchSchema = z.strictObject({ question: questionSchema.optional(), concurrency: z.int().min(1).max(1024).optional() });

export interface CheckedBatchOptions extends z.output<typeof batchSchema> {
  /** of answers, as they were given: each call checks them again */
  asked: Omit<AnswerOptions, "signal">;
  checked: CheckedAnswerOptions;
}

/** @throws {SdRpnError} INVALID_ARGUMENT */
export function checkBatchOptions(options: BatchOptions): CheckedBatchOptions {
  const { question, concurrency, ...answer } = options;
  if ((answer as AnswerOptions).onToken !== undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected no onToken for a batch, whose answers are written side by side: read them whole from its results");
  }
  const checked = parseAnswerOptions(answer);
  const { signal: _, ...asked } = answer;
  return { ...parseOptions(batchSchema, { question, concurrency }), asked, checked };
}
