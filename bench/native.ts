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
  const { stdout } = await promisify(execFile)(nativeProgram("speed"), [...list, "--suffix", `\n${question} ASSISTANT:`], { maxBuffer: 1 << 24 });
  const report = JSON.parse(stdout) as { phases: Record<string, { median: number }> };
  const missing = phases.filter((phase) => !(phase in report.phases));
  if (missing.length) {
    throw new Error(`speed does not know the phases ${missing.join(", ")}: run \`npm run build\``);
  }
  return Object.fromEntries(Object.entries(report.phases).map(([name, { median }]) => [name, { ms: median }]));
}
