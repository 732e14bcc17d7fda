import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ratioChart } from "./chart.js";
import { operations, type PromptTokens } from "./floor.js";
import { load, type Machine } from "./machine.js";
import type { BenchOptions } from "./options.js";
import type { Sample } from "./protocol.js";
import type { Results } from "./run.js";
import { pairedRatios, summarize, type Summary } from "./stats.js";
import type { ModelFiles, ModelSizes } from "./synth.js";
import { type Target, targets } from "./targets.js";

export interface ReportInput {
  options: BenchOptions;
  files: ModelFiles;
  sizes: ModelSizes;
  machine: Machine;
  started: { at: string; load: number };
  results: Results;
}

/** The calls that the report lists, with the phase they were measured in. */
const ROWS: [label: string, phase: string, name: string][] = [
  ["full prefill, to the first token", "flow", "prefill"],
  ["one view, no region", "flow", "oneView"],
  ["reference flow", "flow", "reference"],
  ["answer with RoI, first question", "flow", "first"],
  ["answer with RoI, next question on the image", "flow", "next"],
  ["predictRoI, first on an image", "flow", "predictFirst"],
  ["predictRoI, repeat on the image", "flow", "predictRepeat"],
  ["region from attention, first on an image", "attention", "attentionFirst"],
  ["region from attention, repeat on the image", "attention", "attentionRepeat"],
];

/** Writes report.json, with every single measurement, report.md, and chart.svg where there is something to draw. */
export async function writeReport(input: ReportInput): Promise<{ markdown: string; paths: string[] }> {
  const { options, results } = input;
  const prompt = promptOf(input);
  const list = targets(results, operations(input.sizes, prompt));
  const report = {
    options,
    machine: { ...input.machine, loadBefore: input.started.load, loadAfter: load() },
    startedAt: input.started.at,
    endedAt: new Date().toISOString(),
    engines: results.about,
    fileMiB: Object.fromEntries(Object.entries(input.files).map(([name, path]) => [name, Math.round(statSync(path).size / 2 ** 20)])),
    sizes: input.sizes,
    prompt,
    targets: list,
    peakMemoryMiB: results.memory,
    missing: results.missing,
    failed: results.failed,
    measured: results.measured,
  };
  const markdown = render(input, list, report);
  mkdirSync(options.out, { recursive: true });
  const paths = [join(options.out, "report.md"), join(options.out, "report.json")];
  writeFileSync(paths[0], markdown);
  writeFileSync(paths[1], `${JSON.stringify(report, null, 1)}\n`);
  const { flow } = results.measured;
  if (flow) {
    const { shape, scale, type } = options;
    paths.push(join(options.out, "chart.svg"));
    writeFileSync(paths[2], ratioChart(flow, `${shape}, widths / ${scale}, ${type}: time of a call compared with the reference flow`));
  }
  return { markdown, paths };
}

function promptOf({ options, sizes, results: { about, measured } }: ReportInput): PromptTokens {
  const all = measured.flow?.prefill?.[0]?.promptTokens ?? NaN;
  const prefix = Number(about["sd-rpn"]?.prefixTokens);
  return { prefix, question: all - prefix, image: sizes.imageTokens, answer: options.tokens };
}

function render({ options, machine, started, results }: ReportInput, list: Target[], { fileMiB }: { fileMiB: Record<string, number> }): string {
  const { shape, scale, type, threads, runs, pairs, tokens } = options;
  const lines = [
    `# Benchmark: ${shape}, widths and heads / ${scale}, ${type}`,
    "",
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}, commit ${machine.commit}. ` +
      `Every engine with ${plural(threads, "thread")}. ${plural(runs, "interleaved run")} (beside peers ${pairs}), answers of ${plural(tokens, "token")}. ` +
      `Load of the machine before the start: ${started.load}${started.load > 0.3 ? ": other work was going on" : ""}. ` +
      `Files: ${Object.entries(fileMiB).map(([name, mib]) => `${name} ${mib} MiB`).join(", ")}.`,
    "",
    "Random weights: the figures tell about speed only. Ratios are medians of ratios within a round, in brackets the smallest and the largest.",
    "",
    "## Targets",
    "",
    ...table(["figure", "measured", "target", "met", "without vision", "by operations", ""], list.map(targetCells)),
    "",
    "## Calls",
    "",
    ...table(["call", "ms", "language model ms", "vision ms", "/ reference", "/ reference, without vision"], ROWS.flatMap((row) => callCells(results, row))),
    "",
    "## Beside peers",
    "",
    ...table(["peer", "work", "sd-rpn", "peer", "sd-rpn / peer"], peerCells(results)),
    "",
    "## Peak memory",
    "",
    ...table(["process", "MiB"], Object.entries(results.memory).map(([name, mib]) => [name, mib.toFixed(0)])),
    "",
    "## Engines",
    "",
    ...Object.entries(results.about).map(([name, about]) => `- ${name}: ${Object.entries(about).map(([key, value]) => `${key} ${value}`).join(", ")}`),
  ];
  const missing = Object.entries({ ...results.missing, ...results.failed });
  if (missing.length) {
    lines.push("", "## Not measured", "", ...missing.map(([name, why]) => `- ${name}: ${why}`));
  }
  return `${lines.join("\n")}\n`;
}

function targetCells({ name, figure, limit, atLeast, unit, met, withoutVision, floor, note }: Target): string[] {
  const show = (summary: Summary | undefined): string => (summary ? spread(summary, unit === "ms" ? 1 : 3) : "");
  const bound = `${atLeast ? ">=" : "<="} ${limit}${unit === "ms" ? " ms" : ""}`;
  return [name, show(figure), bound, met === null ? "not measured" : met ? "yes" : "**no**", show(withoutVision), floor && Number.isFinite(floor) ? floor.toFixed(3) : "", note ?? ""];
}

function callCells({ measured }: Results, [label, phase, name]: (typeof ROWS)[number]): string[][] {
  const samples = measured[phase]?.[name];
  if (!samples) {
    return [];
  }
  const of = (figure: (sample: Sample) => number | undefined): string => spread(summarize(samples.map((sample) => figure(sample) ?? NaN)), 1);
  const reference = phase === "flow" ? measured.flow.reference : undefined;
  const against = (figure: (sample: Sample) => number): string =>
    reference ? spread(summarize(pairedRatios(samples.map(figure), reference.map(figure))), 3) : "";
  return [[label, of((s) => s.ms), of((s) => s.llm), of((s) => s.vision), against((s) => s.ms), against((s) => s.llm ?? NaN)]];
}

function peerCells({ measured }: Results): string[][] {
  const works: [string, string, (sample: Sample) => number, number][] = [
    ["text", "prefill, tokens/s", (s) => s.prefillRate ?? NaN, 1],
    ["text", "decode, tokens/s", (s) => s.decodeRate ?? NaN, 1],
    ["picture", "picture and question to the first token, ms", (s) => s.ms, 1],
  ];
  return Object.entries(measured)
    .filter(([phase]) => phase.startsWith("peers "))
    .flatMap(([phase, calls]) =>
      works.flatMap(([work, label, figure, digits]) => {
        const [own, peer] = [calls[work]?.map(figure), calls[`${work} peer`]?.map(figure)];
        return own && peer ? [[phase.slice(6), label, spread(summarize(own), digits), spread(summarize(peer), digits), spread(summarize(pairedRatios(own, peer)), 3)]] : [];
      }),
    );
}

function spread({ median, min, max }: Summary, digits: number): string {
  const [a, b, c] = [median, min, max].map((value) => value.toFixed(digits));
  return `${a} (${b}-${c})`;
}

function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function table(head: string[], rows: string[][]): string[] {
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
