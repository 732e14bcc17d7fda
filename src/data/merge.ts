import { rename, rm } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { checkPath } from "../base/regular-file.js";
import { AppendLog } from "./append-log.js";
import { readJsonl } from "./jsonl.js";

export interface MergeOptions {
  /** files that several processes have written with {@link AppendLog}; their headers differ in `shard` only */
  files: readonly string[];
  /** every id that must be present, in the order of the output */
  ids: readonly string[];
  out: string;
  /** what the files are called in messages, such as "label file" */
  name: string;
  /** the header to write, made from that of the first file */
  header?: (first: Record<string, unknown>, file: string) => Record<string, unknown>;
  signal?: AbortSignal;
}

type Line = { id: string } & Record<string, unknown>;

/**
 * Joins the files of several shards into one, the file that a single process would have written.
 *
 * @throws {SdRpnError} DATA_INVALID where an id is missing, unknown or present twice with different content, or the headers differ;
 *   IO_ERROR; ABORTED. The output file appears only when it is complete.
 */
export async function mergeLogs({ files, ids, out, name, header = (first) => first, signal }: MergeOptions): Promise<{ entries: number }> {
  await io(name, out, () => checkPath(out, "write")); // told before the work, and not by renaming a file over a pipe
  const lines = new Map<string, { line: Line; file: string }>();
  const wanted = new Set(ids);
  let first: Record<string, unknown> | undefined;
  for (const file of files) {
    let begun = false;
    for await (const { value, at } of readJsonl(file, z.looseObject({}), { signal })) {
      const fail = (message: string): never => {
        throw dataInvalid(at(["id"]), message);
      };
      if (!begun) {
        begun = true;
        const common = { ...value, shard: null };
        first ??= header(common, file);
        if (!isDeepStrictEqual(header(common, file), first)) {
          fail(`Expected ${name}s that were started with the same settings but the header of this one differs from that of ${files[0]}`);
        }
        continue;
      }
      const line = value as Line;
      if (!wanted.has(line.id)) {
        fail(`Expected ids of the data file but received ${JSON.stringify(line.id)}`);
      }
      const other = lines.get(line.id);
      if (other) {
        fail(`Expected each id once but ${line.id} is in ${other.file} too`);
      }
      lines.set(line.id, { line, file });
    }
  }
  const missing = ids.filter((id) => !lines.has(id));
  if (missing.length > 0) {
    const shown = missing.slice(0, 5).join(", ");
    throw new SdRpnError(
      "DATA_INVALID",
      `${missing.length} of ${ids.length} ids are in none of the ${files.length} ${name}s (${shown}${missing.length > 5 ? ", ..." : ""}): a shard is missing or not finished`,
    );
  }
  const partial = `${out}.partial`;
  await io(name, out, () => rm(partial, { force: true }));
  {
    await using log = await AppendLog.open(partial, { header: first ?? {}, name, signal });
    for (const id of ids) {
      await log.append(lines.get(id)!.line);
    }
  }
  await io(name, out, () => rename(partial, out));
  return { entries: ids.length };
}

async function io<T>(name: string, out: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot write the ${name} ${out}: ${(error as Error).message}`, { cause: error });
  }
}
