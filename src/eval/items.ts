import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { invalidArgument } from "../base/validate.js";
import type { EvalItem, ReadOptions, SkippedItem, Task } from "./task.js";

/** The items of a run, in the order of the data. */
export interface Items {
  /** the reported part */
  items: EvalItem[];
  /** the development part; empty where there is none */
  development: EvalItem[];
  /** skipped because their picture is missing */
  skipped: SkippedItem[];
}

export interface ItemOptions extends Omit<ReadOptions, "onSkip"> {
  data: string;
  limit?: number;
  development?: { share: number } | { data: string; images?: string };
}

/**
 * Reads the items of a run. A development part given as a share consists of whole pictures, chosen by a digest of their
 * names: the same ones in every run, in whatever order the data is.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where a development file shares pictures with the reported data, or a part is left
 *   without items; otherwise as {@link Task.read}
 */
export async function readItems(task: Task, { data, limit, development, ...read }: ItemOptions): Promise<Items> {
  const skipped: SkippedItem[] = [];
  const onSkip = (item: SkippedItem): number => skipped.push(item);
  const isSetApart = (item: EvalItem): boolean => development !== undefined && "share" in development && fraction(item.imageName) < development.share;
  const result: Items = { items: [], development: [], skipped };
  for await (const item of task.read(data, { ...read, onSkip })) {
    const part = isSetApart(item) ? result.development : result.items;
    if (part === result.development || limit === undefined || part.length < limit) {
      part.push(item);
    }
    if (result.items.length === limit && !(development && "share" in development)) {
      break; // the rest of a large file need not be read
    }
  }
  if (development && "data" in development) {
    // a picture missing from the development file does not count as skipped in the reported part
    for await (const item of task.read(development.data, { ...read, images: development.images ?? read.images, onSkip: () => {} })) {
      result.development.push(item);
    }
    checkApart(result, data, development.data);
  }
  checkFilled(result, development);
  return result;
}

function checkFilled({ items, development }: Items, wanted: ItemOptions["development"]): void {
  if (items.length === 0) {
    throw invalidArgument("a development part that leaves items to report", "development", wanted);
  }
  if (wanted && development.length === 0) {
    throw invalidArgument("a development part large enough to hold a picture", "development", wanted);
  }
}

function checkApart({ items, development }: Items, data: string, other: string): void {
  const key = ({ image, imageName }: EvalItem, file: string): string => (typeof image === "string" ? image : `${resolve(file)}:${imageName}`);
  const reported = new Set(items.map((item) => key(item, data)));
  const shared = development.find((item) => reported.has(key(item, other)));
  if (shared) {
    throw invalidArgument("development data without the pictures that are reported", "development", `${other}, which has ${shared.imageName} too,`);
  }
}

/** A number in 0..1 that depends on the name alone. */
function fraction(name: string): number {
  return createHash("sha256").update(name).digest().readUInt32BE(0) / 2 ** 32;
}

/** A digest of questions and answers: two runs with the same one have the same predictions to make. */
export function digestOf(items: readonly EvalItem[]): string {
  const hash = createHash("sha256");
  for (const { id, imageName, prompt, answers, options, category, boxes, extra } of items) {
    hash.update(JSON.stringify([id, imageName, prompt, answers, options ?? null, category ?? null, boxes ?? null, extra ?? null]));
  }
  return hash.digest("hex");
}
