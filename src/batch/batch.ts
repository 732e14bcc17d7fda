import { z } from "zod";
import { checkForModel } from "../answer/check-for-model.js";
import type { JsonFormat } from "../answer/form/format.js";
import type { AnswerOptions } from "../answer/options.js";
import type { SdRpnError } from "../base/errors.js";
import { isIterable, questionSchema } from "../base/schemas.js";
import type { Answer } from "../base/types.js";
import { invalidArgument, parseOptions } from "../base/validate.js";
import { isItemError } from "../data/item-error.js";
import { ahead } from "../data/read-ahead.js";
import { engineOf, pictureOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { type BatchItem, type BatchLine, type BatchOptions, type BatchResult, checkBatchOptions } from "./options.js";

/**
 * Answers questions about many pictures, several at a time, and yields the results in the order of the items, each as soon as it and
 * those before it are there. Items are taken from the iterable as they are needed: at most `concurrency` of them are in
 * work, and none is taken while as many results wait for the caller.
 *
 * An item that cannot be answered (a picture that cannot be read, a question that does not fit) gives a result with `error`, and the
 * rest goes on. If `items` itself fails, its error is thrown behind the results of what it gave. Leaving the loop ends the calls under way.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT and RPN_NOT_LOADED for options that no item can follow, before any work; OUT_OF_MEMORY,
 *   QUEUE_FULL (other calls fill the model's queue), ABORTED, DISPOSED
 */
export async function* batch<Format extends JsonFormat | undefined = undefined>(
  model: Model,
  items: Iterable<BatchItem> | AsyncIterable<BatchItem>,
  options: BatchOptions<Format> = {},
): AsyncGenerator<BatchResult<Format>, void, undefined> {
  const engine = engineOf(model);
  if (pictureOf(model)) {
    throw invalidArgument("a model, and not a session,", "model", model);
  }
  const { question, concurrency = 2 * model.info.parallel + 2, asked, checked } = checkBatchOptions(options);
  parseOptions(z.strictObject({ items: z.custom(isIterable).describe("iterable of { image, question }") }), { items });
  await checkForModel(engine, checked);
  const work = (item: NumberedItem, signal: AbortSignal): Promise<BatchResult> => answerItem(model, item, question, { ...asked, signal });
  yield* ahead(numbered(items), concurrency, work, options.signal) as AsyncGenerator<BatchResult<Format>, void, undefined>;
}

interface NumberedItem {
  item: BatchItem;
  number: number;
}

async function* numbered(items: Iterable<BatchItem> | AsyncIterable<BatchItem>): AsyncGenerator<NumberedItem, void, undefined> {
  let number = 0;
  for await (const item of items) {
    yield { item, number: ++number };
  }
}

const itemSchema = z.strictObject({ id: z.string().min(1).optional(), image: z.unknown(), question: questionSchema });

async function answerItem(model: Model, { item, number }: NumberedItem, common: string | undefined, options: AnswerOptions): Promise<BatchResult> {
  // what the caller gave, as far as it can be told in a result
  const { id = String(number), image, question = common } = Object(item) as BatchItem;
  const about = { id: String(id), image, question: String(question ?? "") };
  try {
    const checked = parseOptions(itemSchema, typeof item === "object" && item !== null ? { ...item, question } : item, `item ${number}`);
    return resultOf({ ...about, answer: await model.answer(image, checked.question, options) });
  } catch (error) {
    if (!isItemError(error)) {
      throw error;
    }
    return resultOf({ ...about, error });
  }
}

type Fields = { id: string; image: BatchItem["image"]; question: string } & ({ answer: Answer; error?: undefined } | { error: SdRpnError; answer?: undefined });

/** As with answers, toJSON is not enumerable: results can be spread and compared as plain objects. */
function resultOf(fields: Fields): BatchResult {
  const value = (): BatchLine => lineOf(fields);
  return Object.defineProperty(fields, "toJSON", { value, configurable: true, writable: true }) as unknown as BatchResult;
}

function lineOf({ id, image, question, answer, error }: Fields): BatchLine {
  const shown = Array.isArray(image) ? image.map(pathOf) : pathOf(image);
  return { id, image: shown, question, ...(error ? { error: { code: error.code, message: error.message } } : { answer: answer.toJSON() }) };
}

/** null for pictures in memory, and for data URIs, which are the picture itself. */
function pathOf(image: unknown): string | null {
  const path = typeof image === "string" ? image : image instanceof URL ? image.href : null;
  return path !== null && /^data:/i.test(path) ? null : path;
}
