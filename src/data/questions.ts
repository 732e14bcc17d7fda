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

/** A line of a question file; further fields are let be. */
export const questionLineSchema = z.object({
  id: z.union([z.string().min(1), z.int()]).transform(String).optional(),
  image: text,
  question: text,
  answer: z.string().optional(),
  answers: z.array(z.string()).optional(),
  kind: z.string().optional(),
  box: box.nullish(),
  textBox: box.nullish(),
});

/** A question about a picture, as data files have it. */
export interface QuestionItem {
  /** unique in its file; the line's number where the line names none */
  id: string;
  /** as the file has it: relative to the folder of pictures, or absolute */
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
  /** whether it is fine that not one of the pictures is there */
  withoutPictures?: boolean;
  signal?: AbortSignal;
}

/**
 * Reads a question file: JSONL with `image` and `question`, and optionally `id`, `answer` or `answers`, `box` and `textBox`.
 *
 * @throws {SdRpnError} DATA_INVALID (file, line, column) for a broken line, an id that comes twice, an empty file, and
 *   where not one of the pictures exists; IO_ERROR; ABORTED
 */
export async function readQuestions(file: string, options: QuestionOptions = {}): Promise<QuestionItem[]> {
  const folder = resolve(options.images ?? dirname(file));
  const lines = new Map<string, number>();
  const items: QuestionItem[] = [];
  for await (const { value, line, at } of readJsonl(file, questionLineSchema, options)) {
    const { id = String(line), image, question, answer, answers, kind, box, textBox } = value;
    const earlier = lines.get(id);
    if (earlier !== undefined) {
      throw dataInvalid(at(["id"]), `Expected each id once but ${id} stands in line ${earlier} too`);
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

/** One missing picture is that item's failure; all of them missing is a wrong folder. */
async function checkAnyPicture(items: readonly QuestionItem[], folder: string): Promise<void> {
  for (const path of new Set(items.map((item) => item.path))) {
    try {
      await access(path);
      return;
    } catch {
      // the next one may be there
    }
  }
  throw dataInvalid(items[0].place, `Expected the picture ${items[0].image} in ${folder}, where not one of the file's pictures is: name their folder (images, --images)`);
}

/** Items of the same picture one after the other, pictures in order of their first item: what is computed per picture is computed once. */
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
