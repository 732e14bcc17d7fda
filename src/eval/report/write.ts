import type { RunConfig } from "../config.js";
import { readMachines } from "../machine.js";
import { toJson } from "../../data/settings-file.js";
import { RUN_FILES, type RunFolder } from "../run-folder.js";
import { speeds } from "../speed.js";
import type { SweepCurve } from "../sweep.js";
import type { EvalItem, Task } from "../task.js";
import { reportHtml } from "./html.js";
import { markdownTable } from "./format.js";
import { reportMarkdown, tableMarkdown } from "./markdown.js";
import { byMethod } from "./read.js";
import { type EvalReport, summarize } from "./summary.js";
import { speedTable } from "./tables.js";
import type { Prediction } from "../prediction.js";
import { sweepChart } from "./sweep-chart.js";

export interface ReportInput {
  folder: RunFolder;
  task: Task;
  config: RunConfig;
  /** the items of this folder, with their place in the run */
  items: readonly { index: number; item: EvalItem }[];
  /** how many are in the development part */
  development: number;
  sweep: SweepCurve | null;
  signal?: AbortSignal;
}

/** Writes all result files anew from the predictions, and the speed files from the timings. */
export async function writeReport({ folder, task, config, items, development, sweep, signal }: ReportInput): Promise<EvalReport> {
  const file = folder.file(RUN_FILES.predictions);
  const predictions = byMethod(await folder.readPredictions(signal), config.methods, items, file);
  const report = await summarize({ task, config, items: items.map(({ item }) => item), predictions, developmentItems: development, sweep, signal });
  const chart = sweep && sweepChart(sweep);
  if (chart) {
    await folder.write(RUN_FILES.chart, chart);
  }
  await folder.write(RUN_FILES.report.json, toJson(report));
  await folder.write(RUN_FILES.report.markdown, reportMarkdown(report, config, chart !== null));
  await folder.write(RUN_FILES.report.html, await reportHtml({ report, config, items, predictions, chart, signal }));
  await writeSpeed(folder, config, report, predictions, signal);
  await writeSubmissions(folder, task, items, predictions);
  return report;
}

async function writeSpeed(folder: RunFolder, config: RunConfig, report: EvalReport, predictions: ReadonlyMap<string, readonly Prediction[]>, signal?: AbortSignal): Promise<void> {
  const methods = speeds(config.methods, await folder.readTimings(signal), predictions);
  const machines = await readMachines(folder);
  const rows = machines.map(({ cpu, cores, memory, system, node, backend, device, threads, versions }) => [
    `${cpu}, ${cores} cores, ${memory} GiB`,
    system,
    `Node ${node}`,
    `${backend} (${device}), ${threads} threads`,
    `llama.cpp ${versions.llama}, ggml ${versions.ggml}`,
  ]);
  const machineTable = markdownTable(["machine", "system", "Node", "backend", "versions"], rows);
  await folder.write(RUN_FILES.speed.json, toJson({ machines, methods }));
  await folder.write(RUN_FILES.speed.markdown, `${tableMarkdown(speedTable(report, methods))}\n\n${machineTable}\n`);
}

/** Submission files for a test server, one per method, where the data has no answers. */
async function writeSubmissions(folder: RunFolder, task: Task, items: ReportInput["items"], predictions: ReadonlyMap<string, readonly Prediction[]>): Promise<void> {
  if (!task.submission || items.some(({ item }) => item.answers.length > 0)) {
    return;
  }
  for (const [method, rows] of predictions) {
    const { fileName, contents } = task.submission(rows.map(({ text }, i) => ({ item: items[i].item, prediction: text })));
    await folder.write(`${method}-${fileName}`, contents);
  }
}
