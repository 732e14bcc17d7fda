import { dataInvalid } from "../../base/errors.js";
import type { RunConfig } from "../config.js";
import type { Prediction } from "../prediction.js";
import { RUN_FILES, type RunFolder } from "../run-folder.js";
import { type SweepCurve, sweepCurve, sweepMethod } from "../sweep.js";
import type { EvalItem, Task } from "../task.js";

/**
 * Predictions by method, each in the order of `items`.
 *
 * @throws {SdRpnError} DATA_INVALID where one is missing, or belongs to another item
 */
export function byMethod(
  rows: readonly Prediction[],
  methods: readonly string[],
  items: readonly { index: number; item: EvalItem }[],
  file: string,
): Map<string, Prediction[]> {
  const found = new Map(methods.map((name) => [name, new Map<number, Prediction>()]));
  for (const row of rows) {
    found.get(row.method)?.set(row.index, row);
  }
  const fail = (message: string): never => {
    throw dataInvalid({ file, line: rows.length + 1, column: 1 }, message);
  };
  return new Map(
    methods.map((name) => [
      name,
      items.map(({ index, item }) => {
        const row = found.get(name)!.get(index) ?? fail(`Expected a prediction of ${name} for item ${item.id}, number ${index}, but there is none: the run is not finished`);
        return row.id === item.id ? row : fail(`Expected item ${item.id} at number ${index} but received ${row.id}: the data has changed`);
      }),
    ]),
  );
}

/** The curve of a run's sweep.jsonl. */
export async function readCurve(folder: RunFolder, task: Task, development: readonly EvalItem[], config: RunConfig, signal?: AbortSignal): Promise<SweepCurve> {
  const thresholds = config.sweep!;
  const items = development.map((item, index) => ({ index, item }));
  const rows = byMethod(await folder.readSweep(signal), thresholds.map(sweepMethod), items, folder.file(RUN_FILES.sweep));
  return sweepCurve(task, development, thresholds, rows, { strict: config.strict, seed: config.seed, signal });
}
