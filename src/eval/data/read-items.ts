import { access } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { type DataPlace, dataInvalid } from "../../base/errors.js";
import { throwIfAborted } from "../../base/abort.js";
import type { Box } from "../../base/types.js";
import { parseOptions } from "../../base/validate.js";
import type { EvalItem, ReadOptions } from "../task.js";
import { dataFiles, readRecords, type SplitFiles } from "./data-files.js";
import { PictureCache } from "./parquet-pictures.js";
import type { DataRecord, EmbeddedPicture } from "./record.js";

/** An item without its picture, and where to find that. */
export interface ItemDraft extends Omit<EvalItem, "image" | "imageName"> {
  picture: PictureDraft;
}

export interface PictureDraft {
  /** name of the column that may hold the picture itself, or its name */
  column: string;
  /** name in the data, relative to the folder of pictures; undefined where only a column can hold the picture */
  name: string | undefined;
  /** other folders in which to look for that name, relative to the folder of pictures: those of the publishers' archives */
  folders?: readonly string[];
  /** identifies a picture inside the data, where the data has such a key */
  key?: string;
}

/** How a benchmark's release is read. */
export interface DataFormat {
  splits: SplitFiles;
  defaultSplit: string | null;
  /** columns of TSV and Parquet files that hold a picture in base64 */
  base64?: readonly string[];
  /** the question of a record; `file` tells the part where the record does not */
  item(record: DataRecord): ItemDraft;
  /** boxes from a file beside a picture on disk */
  boxesBeside?(picturePath: string): Promise<Box[] | undefined>;
}

const readOptionsSchema = z.strictObject({
  images: z.string().optional(),
  split: z.string().optional(),
  skipMissing: z.boolean().optional(),
  onSkip: z.custom<NonNullable<ReadOptions["onSkip"]>>((value) => typeof value === "function").describe("function").optional(),
  signal: z.instanceof(AbortSignal).describe("AbortSignal").optional(),
});

/** Reads a benchmark's items as {@link Task.read} promises it. */
export async function* readItems(format: DataFormat, data: string, options: ReadOptions = {}): AsyncGenerator<EvalItem> {
  const { images, split, skipMissing, onSkip, signal } = parseOptions(readOptionsSchema, options);
  const files = await dataFiles(data, format.splits, split ?? format.defaultSplit);
  const finder = new PictureFinder();
  const places = new Map<string, string>();
  const source = { base64: new Set(format.base64), cache: new PictureCache(), signal };
  let given = 0;
  let missing: { draft: ItemDraft; place: DataPlace; folder: string } | undefined;

  for (const file of files) {
    const folder = resolve(images ?? dirname(file));
    for await (const record of readRecords(file, source)) {
      throwIfAborted(signal);
      const draft = format.item(record);
      const { picture, ...item } = draft;
      const earlier = places.get(item.id);
      if (earlier !== undefined) {
        throw dataInvalid(record.at(), `Expected each question once but ${item.id} is in ${earlier} too`);
      }
      places.set(item.id, `record ${record.position + 1} of ${file}`);

      const found = await find(picture, record, finder, folder);
      if (found) {
        given++;
        const boxes = typeof found.image === "string" ? await format.boxesBeside?.(found.image) : undefined;
        yield { ...item, ...(boxes && { boxes }), ...found };
        continue;
      }
      missing ??= { draft, place: record.at(picture.column), folder };
      if (!skipMissing) {
        throw missingPicture(missing);
      }
      onSkip?.({
        id: item.id,
        imageName: picture.name ?? picture.column,
        // computed on demand: in a JSON file it takes a scan
        get place() {
          return record.at(picture.column);
        },
      });
    }
  }
  if (given === 0) {
    throw missing ? missingPicture(missing, "none of the data's pictures is") : dataInvalid({ file: files[0], line: 1, column: 1 }, "Expected at least one record but there is none");
  }
}

type FoundPicture = Pick<EvalItem, "image" | "imageName">;

async function find({ column, name, folders, key }: PictureDraft, record: DataRecord, finder: PictureFinder, folder: string): Promise<FoundPicture | null> {
  const embedded: EmbeddedPicture | null | undefined = record.picture(column);
  if (embedded) {
    return { image: embedded.read, imageName: key ?? embedded.key ?? `${basename(record.file)}#${record.position + 1}` };
  }
  if (embedded === null || name === undefined) {
    return null;
  }
  const path = await finder.find(folder, name, folders);
  return path === null ? null : { image: path, imageName: name };
}

function missingPicture({ draft, place, folder }: { draft: ItemDraft; place: DataPlace; folder: string }, what = "it is not"): Error {
  const { name, column } = draft.picture;
  if (name === undefined) {
    return dataInvalid(place, `Expected a picture for ${column} of question ${draft.id} but there is none`);
  }
  return dataInvalid(place, `Expected the picture ${name} in ${folder}, where ${what}: give the folder of pictures (images, --images), or skip missing ones (skipMissing, --skip-missing)`);
}

/** Looks pictures up on disk, each name once. */
class PictureFinder {
  private readonly found = new Map<string, string | null>();

  /** The absolute path of the picture, or null where it is in none of the folders. */
  async find(folder: string, name: string, folders: readonly string[] = []): Promise<string | null> {
    const key = join(folder, name);
    let path = this.found.get(key);
    if (path === undefined) {
      path = await firstThere([resolve(folder, name), ...folders.flatMap((inner) => [resolve(folder, inner, name), resolve(folder, inner, basename(name))])]);
      this.found.set(key, path);
    }
    return path;
  }
}

async function firstThere(paths: readonly string[]): Promise<string | null> {
  for (const path of new Set(paths)) {
    try {
      await access(path);
      return path;
    } catch {
      // another folder may have it
    }
  }
  return null;
}
