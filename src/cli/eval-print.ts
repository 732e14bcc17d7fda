import { join } from "node:path";
import { readTextFile } from "../base/regular-file.js";
import { reportTables, speedTable, type Table } from "../eval/report/tables.js";
import type { EvalReport } from "../eval/report/summary.js";
import { RUN_FILES } from "../eval/run-folder.js";
import type { MethodSpeed } from "../eval/speed.js";
import { withIoError } from "./exit.js";
import { printJson, printLine, styled } from "./print.js";

/** The tables of a finished run, with its speed, and where the rest is. */
export async function printEvalReport(report: EvalReport, out: string, json: boolean): Promise<void> {
  if (json) {
    printJson(report);
    return;
  }
  const text = await withIoError("read the run's speed", () => readTextFile(join(out, RUN_FILES.speed.json)));
  const { methods } = JSON.parse(text) as { methods: MethodSpeed[] };
  printLine(styled("bold", `${report.task.title}: ${report.model.name || "model"}`));
  for (const table of [...reportTables(report), speedTable(report, methods)]) {
    printColumns(table);
  }
  printLine();
  printLine(`Written to ${out}: ${[...Object.values(RUN_FILES.report), RUN_FILES.speed.markdown].join(", ")}`);
}

function printColumns({ title, head, rows, notes }: Table): void {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string => cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  printLine();
  printLine(styled("bold", title));
  printLine(styled("dim", line(head)));
  for (const row of rows) {
    printLine(line(row));
  }
  for (const note of notes) {
    printLine(styled("dim", note));
  }
}
