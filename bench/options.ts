import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "./root.js";

/** What is measured, each in processes of its own. */
export const PHASES = ["flow", "attention", "loop", "parallel", "head", "binding", "peers"] as const;
export type Phase = (typeof PHASES)[number];

export interface BenchOptions {
  shape: string;
  scale: number;
  type: string;
  sizes: Record<string, number>;
  threads: number;
  runs: number;
  pairs: number;
  tokens: number;
  contextSize: number;
  phases: Phase[];
  out: string;
}

export const HELP = `npm run bench -- [options]

  --shape NAME     llava-1.5-7b (default), llava-1.5-13b or tiny
  --scale N        divides widths and heads (8)
  --type TYPE      of the language model's weights: f16, q8_0 (default), q4_0, q4_k ...
  --size NAME=N    another size than the shape's, such as layers=16 (see native/bench/synth-shape.h); may be given again
  --threads N      of every engine (all cores but one)
  --runs N         counted runs of each kind of work (5)
  --pairs N        runs side by side with each peer (10)
  --tokens N       of an answer (16)
  --phase NAME     only this part: ${PHASES.join(", ")}; may be given again
  --out DIR        where report.md, report.json and chart.svg go (bench/out/SHAPE-SCALE-TYPE)
`;

/** @throws {Error} with a message for the user */
export function parseOptions(args: string[]): BenchOptions | null {
  const many = { type: "string", multiple: true } as const;
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: { shape: text, scale: text, type: text, size: many, threads: text, runs: text, pairs: text, tokens: text, phase: many, out: text, help: { type: "boolean" } },
  });
  if (values.help) {
    return null;
  }
  const shape = values.shape ?? "llava-1.5-7b";
  const scale = whole("scale", values.scale, shape === "tiny" ? 1 : 8);
  const type = values.type ?? "q8_0";
  return {
    shape,
    scale,
    type,
    sizes: Object.fromEntries((values.size ?? []).map(parseSize)),
    threads: whole("threads", values.threads, Math.max(1, availableParallelism() - 1)),
    runs: whole("runs", values.runs, 5),
    pairs: whole("pairs", values.pairs, 10),
    tokens: whole("tokens", values.tokens, 16),
    contextSize: shape === "tiny" ? 1024 : 2048,
    phases: (values.phase ?? [...PHASES]).map(parsePhase),
    out: values.out ?? join(ROOT, "bench", "out", `${shape}-${scale}-${type}`),
  };
}

function whole(name: string, value: string | undefined, otherwise: number): number {
  const number = value === undefined ? otherwise : Number(value);
  if (!Number.isInteger(number) || number < 1) {
    throw new Error(`Expected a whole number above 0 for --${name} but received ${value}`);
  }
  return number;
}

function parseSize(text: string): [string, number] {
  const [name, value] = text.split("=");
  return [name, whole(`size ${name}`, value ?? "", NaN)];
}

function parsePhase(name: string): Phase {
  const found = PHASES.find((phase) => phase === name);
  if (!found) {
    throw new Error(`Expected one of ${PHASES.join(", ")} for --phase but received ${name}`);
  }
  return found;
}
