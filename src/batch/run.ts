import { stat } from "node:fs/promises";
import { SdRpnError } from "../base/errors.js";
import { checkPath, replaceFile } from "../base/regular-file.js";
import type { LogFormat } from "../data/append-log.js";
import { csvFormat } from "../data/csv-format.js";
import { differenceOf, readSettings, toJson } from "../data/settings-file.js";
import { modelIdentity } from "../engine/model-identity.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import type { BatchLine, CheckedBatchOptions } from "./options.js";
import { TABLE_COLUMNS, tableRow } from "./table.js";

/** What the file is called in messages. */
export const NAME = "file of answers";

/** How answers lie in the file; undefined: in JSON Lines, without a header, so that every line is an answer. @throws {SdRpnError} INVALID_ARGUMENT */
export function formatOf(out: string, fileFormat?: "jsonl" | "csv"): LogFormat | undefined {
  const format = fileFormat ?? /\.(jsonl|ndjson|csv)$/i.exec(out)?.[1].toLowerCase();
  if (format === undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a name that ends in .jsonl or .csv for out but received ${out}: rename it, or say which it is (fileFormat, --format)`);
  }
  return format === "csv" ? csvFormat(TABLE_COLUMNS, (entry) => tableRow(entry as BatchLine), NAME) : undefined;
}

/** What the answers of a file depend on. Options that were not given are left out, so that new ones do not matter. */
export function settingsOf(model: Model, { question, asked, checked }: CheckedBatchOptions): object {
  const { info } = engineOf(model);
  const { format: _, ...given } = asked;
  return { format: "sd-rpn-batch", version: 1, model: modelIdentity({ info }), rpn: model.info.rpn, heads: model.info.heads, question, ...given, answerFormat: checked.form?.grammar };
}

/** Keeps the settings of a new file of answers, or compares those of one that is continued. */
export async function beginRun(out: string, settings: object): Promise<void> {
  await io(`write the ${NAME}`, out, checkPath(out, "write"));
  const file = `${out}.run.json`;
  const text = toJson(settings);
  const found = await io(`read the settings of the ${NAME}`, out, readSettings(file));
  const begun = await stat(out).then(({ size }) => size > 0, () => false);
  if (begun && found === undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a ${NAME} that a batch has begun, with its ${file} beside it, but ${out} is another file: give the path of a new one (out, --out)`);
  }
  if (begun && found !== text) {
    throw new SdRpnError("INVALID_ARGUMENT", `${out} was begun otherwise: ${differenceOf(found!, settings, file)}; use the same options to continue it, or give the path of a new file (out, --out)`);
  }
  if (found !== text) {
    await io(`write the settings of the ${NAME}`, out, replaceFile(file, text));
  }
}

/** The work, its failure as IO_ERROR. */
export async function io<T>(doing: string, file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot ${doing} ${file}: ${(error as Error).message}`, { cause: error });
  }
}
