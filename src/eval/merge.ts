import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { takeShard } from "../data/shard.js";
import { SdRpnError } from "../base/errors.js";
import { signalSchema } from "../base/schemas.js";
import { parseOptions } from "../base/validate.js";
import type { RunConfig } from "./config.js";
import { digestOf, readItems } from "./items.js";
import { readMachines, writeMachines } from "./machine.js";
import type { EvalReport } from "./report/summary.js";
import { writeReport } from "./report/write.js";
import { RUN_FILES, RunFolder } from "./run-folder.js";
import { taskOf } from "./tasks/index.js";

const schema = z.strictObject({ shards: z.array(z.string().min(1)).min(1), out: z.string().min(1), signal: signalSchema.shape.signal });

/** Options of {@link mergeEvaluations}. */
export interface MergeEvaluationsOptions {
  /** the folders of all shards of the run */
  shards: string[];
  /** the folder to write, as of a run without shards */
  out: string;
  signal?: AbortSignal;
}

/**
 * Joins the shards of a run into the files that a single process would have written, to the byte, and makes the report.
 * Needs the data and its pictures, but no model.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where the folders are not all shards of one run; DATA_INVALID where one is not finished
 *   or the data has changed; IO_ERROR; ABORTED
 */
export async function mergeEvaluations(options: MergeEvaluationsOptions): Promise<EvalReport> {
  const { shards, out, signal } = parseOptions(schema, options);
  const folders = shards.map((path) => new RunFolder(path));
  const config = await commonConfig(folders);
  const task = taskOf(config.task);
  const { data, images, split, skipMissing, limit, development } = config;
  const apart = development && "data" in development ? null : development; // a development file serves sweeps only, and shards do not sweep
  const read = await readItems(task, { data, images: images ?? undefined, split: split ?? undefined, skipMissing, limit: limit ?? undefined, development: apart ?? undefined, signal });
  if (digestOf(read.items) !== config.items.sha256) {
    throw new SdRpnError("DATA_INVALID", `Expected the data that the shards were made with but ${data} has changed since`);
  }
  const folder = new RunFolder(out);
  await folder.begin(config);
  const order = new Map(config.methods.map((name, i) => [name, i]));
  const place = ({ index, method }: { index: number; method: string }): number => index * order.size + (order.get(method) ?? 0);
  for (const [name, lines] of [
    [RUN_FILES.predictions, await Promise.all(folders.map((shard) => shard.readPredictions(signal)))],
    [RUN_FILES.timings, await Promise.all(folders.map((shard) => shard.readTimings(signal)))],
  ] as const) {
    const sorted = lines.flatMap<{ index: number; method: string }>((part) => part).sort((a, b) => place(a) - place(b));
    await folder.write(name, sorted.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }
  const machines = (await Promise.all(folders.map(readMachines))).flat();
  await writeMachines(folder, machines.filter((machine, i) => machines.findIndex((other) => isDeepStrictEqual(machine, other)) === i));
  const items = takeShard(read.items.map((item, index) => ({ index, item })), config.shard);
  return writeReport({ folder, task, config, items, development: read.development.length, sweep: null, signal });
}

/** The configuration of the whole run, which all shards share. */
async function commonConfig(folders: readonly RunFolder[]): Promise<RunConfig> {
  const configs = await Promise.all(folders.map((folder) => folder.config()));
  const fail = (message: string): never => {
    throw new SdRpnError("INVALID_ARGUMENT", message);
  };
  const [first] = configs;
  const count = first.shard?.count ?? fail(`Expected folders of runs with a shard but ${folders[0].path} is a whole run`);
  const seen = new Map<number, string>();
  for (const [i, config] of configs.entries()) {
    const { path } = folders[i];
    const different = Object.keys(first).find((key) => key !== "shard" && !isDeepStrictEqual(first[key as keyof RunConfig], config[key as keyof RunConfig]));
    if (different !== undefined) {
      fail(`Expected shards of one run but ${path} was started with a different ${different} than ${folders[0].path}`);
    }
    if (config.shard?.count !== count) {
      fail(`Expected shards of ${count} but ${path} is ${config.shard ? `one of ${config.shard.count}` : "a whole run"}`);
    }
    const index = config.shard!.index;
    if (seen.has(index)) {
      fail(`Expected each shard once but ${seen.get(index)} and ${path} are both shard ${index}`);
    }
    seen.set(index, path);
  }
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((index) => !seen.has(index));
  if (missing.length > 0) {
    fail(`Expected all ${count} shards but ${missing.map((index) => `${index}/${count}`).join(", ")} ${missing.length === 1 ? "is" : "are"} missing`);
  }
  return { ...first, shard: null };
}
