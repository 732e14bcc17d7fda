import { Command, Option } from "commander";
import { convertCheckpoint, type ConvertOptions, RPN_TYPES } from "../rpn/convert-checkpoint.js";
import { predictSchema } from "../answer/options.js";
import { numberParser } from "./parse.js";
import { printTable } from "./print.js";
import { Progress } from "./progress.js";

type Options = Omit<ConvertOptions, "onProgress" | "signal">;

const NOTES = `
Only the tensors of the region proposal network are read, from one safetensors file or from shards with an index.
Rows that a type cannot divide get the next one that can (q4_k, q8_0, f16); the summary lists them.

Example:
  sd-rpn convert --checkpoint SD-RPN-7b --out rpn-f16.gguf --name llava-v1.5-7b`;

export function convertCommand(signal: AbortSignal): Command {
  return new Command("convert")
    .description("make an RPN file (GGUF) out of a published checkpoint")
    .requiredOption("--checkpoint <dir>", "folder of the checkpoint: config.json and safetensors")
    .requiredOption("--out <file>", "the file to write")
    .addOption(new Option("--type <type>", "type of the weights; norms stay f32").choices([...RPN_TYPES]).default("f16"))
    .option("--name <name>", "name of the base model, for information")
    .option("--threshold <t>", "threshold to write into the file (default: 0.15)", numberParser(predictSchema.shape.threshold, "--threshold"))
    .addHelpText("after", NOTES)
    .action((options: Options) => convert(options, signal));
}

async function convert(options: Options, signal: AbortSignal): Promise<void> {
  const progress = new Progress("converting");
  const result = await convertCheckpoint({ ...options, onProgress: progress.update, signal }).finally(() => progress.stop());
  printTable([
    ["wrote", options.out],
    ["tensors", String(result.tensors)],
    ["read", formatBytes(result.bytesRead)],
    ["written", formatBytes(result.bytesWritten)],
    ...result.fallbacks.map((fallback) => ["fallback", fallback] as const),
  ]);
}

/** "3.8 MB", in powers of ten as file managers count. */
function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
