import { z } from "zod";
import { groupByPicture, readQuestions } from "../data/questions.js";
import { isIterable, questionSchema } from "../base/schemas.js";
import type { ImageInput } from "../base/types.js";
import { parseOptions } from "../base/validate.js";

/** A picture and a question about it: the input of self-distillation. */
export interface Pair {
  /** default: the pair's number, from 1 */
  id?: string;
  image: ImageInput;
  question: string;
}

/** Pairs, or the path of a question file (docs/distill.md). */
export type Pairs = string | Iterable<Pair> | AsyncIterable<Pair>;

export type CheckedPair = Required<Pair>;

const pairSchema = z.looseObject({ id: z.string().min(1).optional(), image: z.unknown(), question: questionSchema });

/**
 * Pairs in the order given; those of a file picture by picture.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a value that is not a pair; the errors of readQuestions for a file
 */
export async function* readPairs(pairs: Pairs, images: string | undefined, signal?: AbortSignal): AsyncGenerator<CheckedPair, void, undefined> {
  if (typeof pairs === "string") {
    for (const { id, path, question } of groupByPicture(await readQuestions(pairs, { images, signal })).flat()) {
      yield { id, image: path, question };
    }
    return;
  }
  parseOptions(z.strictObject({ pairs: z.custom(isIterable).describe("path of a question file, or iterable of { image, question }") }), { pairs });
  let number = 0;
  for await (const pair of pairs) {
    number++;
    const { id = String(number), question } = parseOptions(pairSchema, pair, `pair ${number}`);
    yield { id, image: pair.image, question };
  }
}

/** Groups consecutive pairs that have the same picture, at most `limit` together. */
export async function* groupPairs(pairs: AsyncIterable<CheckedPair>, limit: number): AsyncGenerator<CheckedPair[], void, undefined> {
  let group: CheckedPair[] = [];
  for await (const pair of pairs) {
    if (group.length > 0 && (group[0].image !== pair.image || group.length >= limit)) {
      yield group;
      group = [];
    }
    group.push(pair);
  }
  if (group.length > 0) {
    yield group;
  }
}
