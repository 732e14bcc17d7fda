import { throwIfAborted } from "../../base/abort.js";
import type { RunConfig } from "../config.js";
import type { Prediction } from "../prediction.js";
import type { EvalItem } from "../task.js";
import { pickExamples } from "./examples.js";
import { exampleHtml } from "./html-example.js";
import { SCRIPT, STYLE } from "./html-assets.js";
import { escapeHtml } from "./html-escape.js";
import { settings } from "./markdown.js";
import type { EvalReport } from "./summary.js";
import { reportTables, type Table } from "./tables.js";

export interface HtmlInput {
  report: EvalReport;
  config: RunConfig;
  items: readonly { index: number; item: EvalItem }[];
  predictions: ReadonlyMap<string, readonly Prediction[]>;
  /** the sweep's curve, an SVG document */
  chart: string | null;
  signal?: AbortSignal;
}

/** The report as one self-contained page: tables, and the items won and lost with their pictures embedded. */
export async function reportHtml({ report, config, items, predictions, chart, signal }: HtmlInput): Promise<string> {
  const { shown, total } = pickExamples(predictions, config.examples);
  const cards: string[] = [];
  for (const example of shown) {
    throwIfAborted(signal);
    cards.push(await exampleHtml(items[example.position], example, predictions, config));
  }
  const title = escapeHtml(`${report.task.title}: ${report.model.name || "model"}`);
  const tables = reportTables(report).map((table) => tableHtml(table, table.title === "Thresholds" ? chart : null));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${escapeHtml(settings(config))}</p>
${tables.join("\n")}
<section>
<h2>Items won and lost</h2>
${examplesIntroduction(config, shown.length, total)}
${cards.join("\n")}
</section>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function examplesIntroduction({ methods }: RunConfig, shown: number, total: number): string {
  if (total === 0) {
    return `<p>${methods.includes("none") ? "No item was won or lost against one view." : "Without the method none there is nothing to win or lose against."}</p>`;
  }
  const rivals = methods.filter((name) => name !== "none");
  const choices = rivals.map((name) => `<option>${escapeHtml(name)}</option>`).join("");
  return `<p>${shown} of ${total} items on which a method and one view differ. Heat: where the method looked; frame: what it looked at again, enlarged beside it.</p>
<p class="filter"><label>Method <select id="method"><option value="">any</option>${choices}</select></label>
<label>Outcome <select id="outcome"><option value="">won or lost</option><option value="won">won</option><option value="lost">lost</option></select></label>
<span id="count" role="status"></span></p>`;
}

function tableHtml({ title, head, rows, notes }: Table, chart: string | null): string {
  const cells = (row: readonly string[]): string => row.map((cell, i) => (i === 0 ? `<th scope="row">${escapeHtml(cell)}</th>` : `<td>${escapeHtml(cell)}</td>`)).join("");
  const image = chart ? `<div class="chart" role="img" aria-label="Accuracy against threshold">${chart}</div>\n` : "";
  return `<section>
<h2>${escapeHtml(title)}</h2>
<div class="wide"><table><thead><tr>${head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("")}</tr></thead>
<tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("\n")}</tbody></table></div>
${image}${notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`).join("\n")}
</section>`;
}
