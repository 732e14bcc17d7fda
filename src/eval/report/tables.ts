import { PUBLISHED_THROUGHPUT } from "../published.js";
import type { MethodSpeed } from "../speed.js";
import { formatBudget, formatEstimate, formatFigure, formatP, formatSigned } from "./format.js";
import type { EvalReport, MethodReport } from "./summary.js";

/** A table as text: what report.md, report.html and the terminal show. */
export interface Table {
  title: string;
  head: string[];
  rows: string[][];
  notes: string[];
}

/** The tables of a report, in their order; those without rows are left out. */
export function reportTables(report: EvalReport): Table[] {
  return [mainTable(report), figureTable(report, "categories", "Categories"), figureTable(report, "more", "Further figures"), regionTable(report), sweepTable(report)].filter(
    ({ rows }) => rows.length > 0,
  );
}

function mainTable({ methods, model, items, preset, threshold, gate, strict, sweep }: EvalReport): Table {
  const label = methods[0].main?.label ?? "answers are kept back";
  const published = methods.some((method) => method.published !== null);
  const rows = methods.map(({ name, main, versusNone, published: paper }) => {
    const unit = main?.unit;
    const difference = versusNone
      ? [`${formatSigned(versusNone.value, unit)} [${formatSigned(versusNone.low, unit)}, ${formatSigned(versusNone.high, unit)}]`, String(versusNone.won), String(versusNone.lost), formatP(versusNone.p)]
      : ["-", "-", "-", "-"];
    return [name, formatEstimate(main), ...difference, ...(published ? [paper === null ? "-" : paper.toFixed(1)] : [])];
  });
  const notes = [
    `${items.evaluated} items. Intervals are 95% bootstrap intervals over items; differences are paired. Won and lost: items that one view had wrong and the method has right, and the reverse; p is McNemar's, exact and two-sided.`,
  ];
  if (published) {
    notes.push(`"Paper" is what SD-RPN (arXiv 2509.16944) prints for ${model.published}.`);
  }
  if (threshold !== null) {
    notes.push(`Threshold of the region proposal network: ${threshold}${sweep && threshold === sweep.best ? ", the best of the sweep" : ""}.`);
  }
  if (gate !== null) {
    notes.push(`Its gate passes from a score of ${gate}.`);
  }
  if (preset) {
    notes.push(`Preset ${preset.name}: threshold ${preset.threshold}, ${preset.gate === null ? "no gate" : `gate ${preset.gate}`}, ${formatBudget(preset.imageTokens)} tokens a view; options that were given win over it.`);
  }
  if (items.skipped > 0) {
    notes.push(`${items.skipped} items were skipped because their picture is missing.`);
  }
  if (items.development > 0) {
    notes.push(`${items.development} items were set apart for choosing a threshold and are in none of these figures.`);
  }
  for (const { name, unparsed, failed } of methods) {
    if (unparsed > 0) {
      notes.push(`${name}: ${unparsed} answers that no rule could read count as wrong.`);
    }
    if (failed > 0) {
      notes.push(`${name}: ${failed} items without an answer (too long for the context, or a broken picture) count as wrong.`);
    }
  }
  notes.push(strict ? "Scored strictly: the known flaws of the published scoring are corrected." : "Scored as published, with its known flaws.");
  return { title: "Accuracy", head: ["method", label, "difference to none", "won", "lost", "p", ...(published ? ["paper"] : [])], rows, notes };
}

function figureTable({ methods }: EvalReport, part: "categories" | "more", title: string): Table {
  const heads = new Map(methods.flatMap((method) => method[part].map(({ name, label, items }) => [name, `${label} (${items})`] as const)));
  const rows = heads.size === 0 ? [] : methods.map((method) => [method.name, ...[...heads.keys()].map((key) => formatEstimate(method[part].find(({ name }) => name === key) ?? null))]);
  return { title, head: ["method", ...heads.values()], rows, notes: [] };
}

function regionTable({ methods, imageTokens }: EvalReport): Table {
  const withRecall = methods.find(({ recall }) => recall !== null)?.recall;
  const tokens = (method: MethodReport): string[] => [method.tokens.prompt, method.tokens.roi, method.tokens.completion, method.tokens.look].map((value) => value.toFixed(1));
  const rows = methods.map((method) => [
    method.name,
    formatFigure(method.regionShare),
    ...(withRecall ? [formatFigure(method.recall?.area ?? null), formatFigure(method.recall?.whole ?? null)] : []),
    ...(imageTokens ? [formatBudget(imageTokens)] : []),
    ...tokens(method),
  ]);
  const notes = ["Second look: share of the items that got one. Tokens are means of an answer; those of looking are prompts and words that were only made to find the region."];
  if (imageTokens) {
    notes.push("Budget: tokens that the view of a picture, and that of a second look, may have.");
  }
  if (withRecall) {
    notes.push(`Recall, of the ${withRecall.items} items with boxes: mean share of their area that the second look has shown, and share of the items where it has shown all of it.`);
  }
  return {
    title: "Regions and tokens",
    head: ["method", "second look, %", ...(withRecall ? ["recall, % of area", "recall, % whole"] : []), ...(imageTokens ? ["budget of a view"] : []), "prompt tokens", "of them region", "answer tokens", "tokens of looking"],
    rows,
    notes,
  };
}

function sweepTable({ sweep }: EvalReport): Table {
  const rows = (sweep?.points ?? []).map((point) => [
    String(point.threshold),
    `${formatFigure(point.value, sweep!.figure.unit)} [${formatFigure(point.low, sweep!.figure.unit)}, ${formatFigure(point.high, sweep!.figure.unit)}]`,
    formatFigure(point.found),
    point.roiTokens.toFixed(1),
  ]);
  const notes = sweep ? [`On the ${sweep.items} items of the development part, none of which is reported above. The best: ${sweep.best}.`] : [];
  return { title: "Thresholds", head: ["threshold", sweep?.figure.label ?? "", "regions found, %", "region tokens"], rows, notes };
}

/** Times; their table is in a separate file, since they differ between runs. */
export function speedTable(report: EvalReport, speeds: readonly MethodSpeed[]): Table {
  const { published } = report.model;
  const paper = published && PUBLISHED_THROUGHPUT[published];
  const rows = speeds.map(({ name, perSecond, relative, tokensPerSecond, phases }) => [
    name,
    perSecond.toPrecision(3),
    relative === null ? "-" : `${relative.toFixed(2)}x`,
    ...(paper ? [name in paper ? `${paper[name as keyof typeof paper].toFixed(2)}x` : "-"] : []),
    tokensPerSecond.toPrecision(3),
    ...[phases.vision, phases.prefill, phases.rpn, phases.look, phases.crop, phases.generate, phases.total].map((ms) => ms.toFixed(1)),
  ]);
  const notes = [
    `${speeds[0]?.items ?? 0} items, one at a time, each answer from nothing but the decoded picture. Throughput is answers over their summed time, vision tower and crop included, decoding and scaling of the picture not (that took ${(speeds[0]?.phases.decode ?? 0).toFixed(1)} ms an item).`,
  ];
  if (paper) {
    notes.push("Paper: the ratio that SD-RPN prints over its five document and text tasks, on one A6000.");
  }
  return {
    title: "Speed",
    head: ["method", "items/s", "relative to none", ...(paper ? ["paper"] : []), "tokens/s", "vision ms", "prefill ms", "RPN ms", "looking ms", "crop ms", "answer ms", "total ms"],
    rows,
    notes,
  };
}
