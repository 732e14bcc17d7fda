import { createHash } from "node:crypto";
import { z } from "zod";
import { readJsonl } from "../data/jsonl.js";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { readRegularFile } from "../base/regular-file.js";
import type { Box } from "../base/types.js";
import type { EvalItem } from "./task.js";

const lineSchema = z.object({
  id: z.union([z.string().min(1), z.int()]).transform(String),
  boxes: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()]).describe("box [x0, y0, x1, y1]")),
});

/** Regions that another system has found. */
export interface BoxesFile {
  /** by the item's id, in pixels of the picture */
  boxes: Map<string, Box[]>;
  sha256: string;
}

/**
 * Reads a file of regions: JSONL of `id` and `boxes`, an array of [x0, y0, x1, y1] in source pixels, empty where the system
 * found nothing.
 *
 * @throws {SdRpnError} DATA_INVALID with file, line and column for a broken line, a box without area, an id that occurs twice,
 *   and an item of the run that the file does not have; IO_ERROR
 */
export async function readBoxes(file: string, items: readonly EvalItem[], signal?: AbortSignal): Promise<BoxesFile> {
  const boxes = new Map<string, Box[]>();
  let last = 0;
  for await (const { value, line, at } of readJsonl(file, lineSchema, { signal })) {
    last = line;
    if (boxes.has(value.id)) {
      throw dataInvalid(at(["id"]), `Expected each id once but ${value.id} occurs twice`);
    }
    const empty = value.boxes.findIndex(([x0, y0, x1, y1]) => !(x1 > x0 && y1 > y0));
    if (empty >= 0) {
      throw dataInvalid(at(["boxes", empty]), `Expected a box [x0, y0, x1, y1] with x0 < x1 and y0 < y1 but received [${value.boxes[empty].join(", ")}]`);
    }
    boxes.set(value.id, value.boxes.map(([x0, y0, x1, y1]) => ({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })));
  }
  const missing = items.filter(({ id }) => !boxes.has(id));
  if (missing.length > 0) {
    throw dataInvalid({ file, line: last, column: 1 }, `Expected boxes, or an empty array, for every item but ${missing.length} are missing, the first of them ${missing[0].id}`);
  }
  try {
    return { boxes, sha256: createHash("sha256").update(await readRegularFile(file)).digest("hex") };
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the file of regions ${file}: ${(error as Error).message}`, { cause: error });
  }
}
