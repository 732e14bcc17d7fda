import { access } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { type DataPlace, dataInvalid } from "../base/errors.js";
import { readJsonl } from "./jsonl.js";

const text = z
  .string()
  .refine((value) => value.trim() !== "")
  .describe("non-empty string");
const box = z.tuple([z.number(), z.number(), z.number(), z.number()]).describe("box [x0, y0, x1, y1]");

/** A line of a question file; other fields are ignored. */
const questionLineSchema = z.object({
  id: z.union([z.string().min(1), z.int()]).transform(String).optional(),
  image: text,
  question: text,
  answer: z.string().optional(),
  answers: z.array(z.string()).optional(),
  kind: z.string().optional(),
  box: box.nullish(),
  textBox: box.nullish(),
});

/** A question about a picture, from a data file. */
export interface QuestionItem {
  /** unique in its file; where the line has none, its number */
  id: string;
  /** as written in the file: relative to the folder of pictures, or absolute */
  image: string;
  /** absolute path of the picture */
  path: string;
  question: string;
  /** from `answers`, or `answer`; empty where there is neither */
  answers: string[];
  kind?: string;
  /** in pixels of the picture, [x0, y0, x1, y1] */
  box?: [number, number, number, number];
  textBox?: [number, number, number, number];
  /** where `image` stands */
  place: DataPlace;
}

export interface QuestionOptions {
  /** folder that `image` is relative to; by default the data file's own */
  images?: string;
  /** of lines without one, which are broken otherwise */
  question?: string;
  /** whether to accept a file none of whose pictures exist */
  withoutPictures?: boolean;
  signal?: AbortSignal;
}

/**
 * Reads a question file: JSONL with `image` and `question`, and optionally `id`, `answer` or `answers`, `box` and `textBox`.
 *
 * @throws {SdRpnError} DATA_INVALID (file, line, column) for a broken line, an id that occurs twice, an empty file, and
 *   where none of the pictures exists; IO_ERROR; ABORTED
 */
export async function readQuestions(file: string, options: QuestionOptions = {}): Promise<QuestionItem[]> {
  const folder = resolve(options.images ?? dirname(file));
  const lines = new Map<string, number>();
  const items: QuestionItem[] = [];
  const schema = options.question === undefined ? questionLineSchema : questionLineSchema.extend({ question: text.default(options.question) });
  for await (const { value, line, at } of readJsonl(file, schema, { signal: options.signal })) {
    const { id = String(line), image, question, answer, answers, kind, box, textBox } = value;
    const earlier = lines.get(id);
    if (earlier !== undefined) {
      throw dataInvalid(at(["id"]), `Expected each id once but ${id} is in line ${earlier} too`);
    }
    lines.set(id, line);
    items.push({
      id,
      image,
      path: resolve(folder, image),
      question,
      answers: answers ?? (answer === undefined ? [] : [answer]),
      kind,
      box: box ?? undefined,
      textBox: textBox ?? undefined,
      place: at(["image"]),
    });
  }
  if (!options.withoutPictures) {
    await checkAnyPicture(items, folder);
  }
  return items;
}

/** A single missing picture fails its own item later; if all are missing, the folder is wrong. */
async function checkAnyPicture(items: readonly QuestionItem[], folder: string): Promise<void> {
  for (const path of new Set(items.map((item) => item.path))) {
    try {
      await access(path);
      return;
    } catch {
      // another one may exist
    }
  }
  throw dataInvalid(items[0].place, `Expected the picture ${items[0].image} in ${folder}, where none of the file's pictures is: give their folder (images, --images)`);
}

/** Items grouped by picture, pictures in order of their first item, so that work done per picture is done once. */
export function groupByPicture<T extends { path: string }>(items: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.path);
    if (group) {
      group.push(item);
    } else {
      groups.set(item.path, [item]);
    }
  }
  return [...groups.values()];
}
