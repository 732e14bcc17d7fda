import type { RunConfig } from "../config.js";
import { RUN_FILES } from "../run-folder.js";
import { formatBudget, markdownTable } from "./format.js";
import type { EvalReport } from "./summary.js";
import { reportTables, type Table } from "./tables.js";

export function reportMarkdown(report: EvalReport, config: RunConfig, chart: boolean): string {
  const parts = [`# ${report.task.title}: ${report.model.name || "model"}`, settings(config)];
  for (const table of reportTables(report)) {
    parts.push(tableMarkdown(table));
    if (chart && table.title === "Thresholds") {
      parts.push(`![Accuracy against threshold](${RUN_FILES.chart})`);
    }
  }
  parts.push(`Times are in [${RUN_FILES.speed.markdown}](${RUN_FILES.speed.markdown}), the items won and lost in [${RUN_FILES.report.html}](${RUN_FILES.report.html}).`);
  return `${parts.join("\n\n")}\n`;
}

export function tableMarkdown({ title, head, rows, notes }: Table): string {
  return [`## ${title}`, markdownTable(head, rows), ...notes].join("\n\n");
}

/** A short description of the run. */
export function settings({ model, maxTokens, limit, split, shard, version, heads, vicrop, preset, imageTokens }: RunConfig): string {
  const { layers, embeddingLength, grid, rpn } = model;
  const parts = [
    `sd-rpn ${version}`,
    `${model.architecture} of ${layers} layers, width ${embeddingLength}, ${imageTokens ? formatBudget(imageTokens) : `${grid.width} x ${grid.height}`} image tokens`,
    rpn ? `region proposal network after layer ${rpn.branchLayer}, ${rpn.type}` : "no region proposal network",
    `greedy, up to ${maxTokens} tokens`,
  ];
  if (preset) parts.push(`preset ${preset.name}`);
  if (split) parts.push(`split ${split}`);
  if (limit !== null) parts.push(`the first ${limit} items`);
  if (shard) parts.push(`shard ${shard.index} of ${shard.count}`);
  if (heads) parts.push(`attention of heads ${heads.grounding.map((pair) => pair.join(":")).join(" ")}`);
  if (vicrop) parts.push(`ViCrop at layer ${vicrop.layer}, ${vicrop.inputSize} px`);
  return `${parts.join("; ")}.`;
}
