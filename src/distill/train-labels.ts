import { createHash } from "node:crypto";
import { access } from "node:fs/promises";
import type { Engine } from "../engine/engine.js";
import { type DataPlace, dataInvalid, SdRpnError } from "../base/errors.js";
import { throwIfAborted } from "../base/abort.js";
import { type LabelEntry, readLabels } from "./label-file.js";
import { modelIdentity } from "../engine/model-identity.js";

export interface TrainLabels {
  pairs: LabelEntry[];
  /** without a labelled cell, or failed during labelling */
  unusable: number;
}

export interface TrainLabelOptions {
  labels: string | string[];
  images?: string;
  signal?: AbortSignal;
}

/**
 * The pairs of all label files, in order.
 *
 * @throws {SdRpnError} as {@link readLabels}; DATA_INVALID where no pair has a labelled cell; IMAGE_INVALID, with file and
 *   line, for a missing picture: checked before work starts
 */
export async function readTrainLabels(engine: Engine, { labels, images, signal }: TrainLabelOptions): Promise<TrainLabels> {
  const files = Array.isArray(labels) ? labels : [labels];
  const pairs: LabelEntry[] = [];
  let unusable = 0;
  for (const file of files) {
    const set = await readLabels(file, { images, model: modelIdentity(engine), signal });
    const usable = set.entries.filter((entry) => entry.labels.some((label) => label !== -100));
    unusable += set.ignored + set.failed + set.entries.length - usable.length;
    pairs.push(...usable);
  }
  if (pairs.length === 0) {
    const why = unusable > 0 ? `: all ${unusable} failed or have none` : "";
    throw dataInvalid({ file: files.join(", "), line: 1, column: 1 }, `Expected at least one pair with a labelled cell${why}`);
  }
  await checkPictures(pairs, signal);
  return { pairs, unusable };
}

async function checkPictures(pairs: readonly LabelEntry[], signal: AbortSignal | undefined): Promise<void> {
  const seen = new Set<string>();
  for (const { path, place } of pairs) {
    if (!seen.has(path)) {
      seen.add(path);
      throwIfAborted(signal);
      await access(path).catch((error: unknown) => {
        throw atPlace(new SdRpnError("IMAGE_INVALID", `There is no picture ${path}: pass the folder of the pictures as images`, { cause: error }), place);
      });
    }
  }
}

/** Puts the place in front of the message of an error, and into its `file`, `line` and `column`. */
export function atPlace(error: SdRpnError, { file, line, column }: DataPlace): SdRpnError {
  return Object.assign(new SdRpnError(error.code, `${file}:${line}:${column}: ${error.message}`, { cause: error.cause ?? error }), { file, line, column });
}

/** A hash of the pairs, independent of where their files are. */
export function hashPairs(pairs: readonly LabelEntry[]): string {
  const hash = createHash("sha256");
  for (const { id, question, labels } of pairs) {
    hash.update(JSON.stringify([id, question]));
    hash.update(labels);
  }
  return hash.digest("hex");
}
