import { takeShard } from "../data/shard.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { parseOptions } from "../base/validate.js";
import { askItems } from "./ask-items.js";
import { readItems } from "./items.js";
import { addMachine } from "./machine.js";
import { makeConfig } from "./make-config.js";
import { makeMethods } from "./methods/make-methods.js";
import { type EvaluateOptions, evaluateSchema } from "./options.js";
import { ProgressReporter } from "./progress.js";
import type { EvalReport } from "./report/summary.js";
import { writeReport } from "./report/write.js";
import { RUN_FILES, RunFolder } from "./run-folder.js";
import { askSweep } from "./sweep.js";
import { readCurve } from "./report/read.js";
import { taskOf } from "./tasks/index.js";

/**
 * Runs a benchmark on a model: any number of methods on the same items, greedily, one question at a time. The run is a
 * folder. An interrupted call, even a killed one, is resumed by calling again with the same options, and the result files
 * are the same to the byte. docs/evaluation.md describes the files.
 *
 * @returns the contents of `report.json`
 * @throws {SdRpnError} INVALID_ARGUMENT (options that do not fit each other, the model, the data, or the run in the folder),
 *   RPN_NOT_LOADED, DATA_INVALID (file, line, column), IMAGE_INVALID and IMAGE_TOO_LARGE (unless `skipMissing`), IO_ERROR, ABORTED,
 *   DISPOSED
 */
export async function evaluate(model: Model, options: EvaluateOptions): Promise<EvalReport> {
  const checked = parseOptions(evaluateSchema, options);
  const { data, images, split, skipMissing, strict, limit, development, signal } = checked;
  const engine = engineOf(model);
  const task = taskOf(checked.task);
  const read = await readItems(task, { data, images, split, skipMissing, limit, development, signal });
  const { config, files } = await makeConfig(model, engine, task, checked, read);
  const folder = new RunFolder(checked.out);
  await folder.begin(config);
  await addMachine(folder, model.info);
  const { maxTokens, gate } = config;
  const views = engine.viewsFor(config.imageTokens ?? undefined);

  let sweep = null;
  if (config.sweep) {
    const thresholds = config.sweep;
    await using log = await folder.openLog(RUN_FILES.sweep, signal);
    const progress = new ProgressReporter("sweep", read.development.length * thresholds.length, await folder.readSweep(signal), checked.onProgress);
    await askSweep({ engine, views, gate, task, items: read.development, thresholds, maxTokens, strict, log, onPrediction: progress.add, signal });
    sweep = await readCurve(folder, task, read.development, config, signal);
  }
  const threshold = config.threshold === "best" ? sweep!.best : config.threshold;

  const items = takeShard(read.items.map((item, index) => ({ index, item })), config.shard);
  {
    await using predictions = await folder.openLog(RUN_FILES.predictions, signal);
    await using timings = await folder.openLog(RUN_FILES.timings, signal);
    const methods = makeMethods(engine, config, threshold, files);
    const progress = new ProgressReporter("run", items.length * methods.length, await folder.readPredictions(signal), checked.onProgress);
    await askItems({ engine, views, task, methods, items, strict, maxTokens, skipMissing, predictions, timings, onPrediction: progress.add, signal });
  }
  checked.onProgress?.({ phase: "report", done: 0, total: 1, accuracy: {} });
  return writeReport({ folder, task, config, items, development: read.development.length, sweep, signal });
}
