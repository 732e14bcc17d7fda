import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Samples } from "./protocol.js";
import { type ModelFiles, nativeProgram } from "./synth.js";

export interface NativeOptions {
  files: ModelFiles;
  threads: number;
  contextSize: number;
  question: string;
  runs: number;
  phases: string[];
}

/** Runs native/bench/speed, the same work without Node; one sample a phase, the median of its runs. */
export async function runNative({ files, threads, contextSize, question, runs, phases }: NativeOptions): Promise<Samples> {
  const args: Record<string, string | number> = { ...files, threads, context: contextSize, runs, phases: phases.join(","), sessions: 1 };
  const list = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // a text after the picture, as the library makes it of a question
  const report = await runProgram("speed", [...list, "--suffix", `\n${question} ASSISTANT:`]);
  const missing = phases.filter((phase) => !(phase in report.phases));
  if (missing.length) {
    throw new Error(`speed does not know the phases ${missing.join(", ")}: run \`npm run build\``);
  }
  return samplesOf(report);
}

/** Runs native/bench/head: the network's head as it is, and the general one with the same weights. */
export async function runHead({ files, threads, tokens, runs }: { files: ModelFiles; threads: number; tokens: number; runs: number }): Promise<Samples> {
  const args = { rpn: files.rpn, threads, tokens, runs };
  return samplesOf(await runProgram("head", Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])));
}

interface Report {
  phases: Record<string, { median: number }>;
}

async function runProgram(name: string, args: string[]): Promise<Report> {
  const { stdout } = await promisify(execFile)(nativeProgram(name), args, { maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as Report;
}

function samplesOf({ phases }: Report): Samples {
  return Object.fromEntries(Object.entries(phases).map(([name, { median }]) => [name, { ms: median }]));
}
