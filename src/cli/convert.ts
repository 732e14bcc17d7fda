import { Command, Option } from "commander";
import { CONVERT_TYPES, convertCheckpoint, type ConvertOptions } from "../rpn/convert-checkpoint.js";
import { predictSchema } from "../answer/options.js";
import { numberParser } from "./parse.js";
import { formatBytes, printTable } from "./print.js";
import { Progress } from "./progress.js";

type Options = Omit<ConvertOptions, "onProgress" | "signal">;

const NOTES = `
Into a folder go model.gguf, mmproj.gguf and rpn.gguf: the language model, the vision tower (f32 or f16) and the region proposal network.
With --only rpn, or where --out ends with .gguf, the RPN file alone is made, and only its tensors are read.
A pruned checkpoint takes what it lacks from the folder given with --base, which may be given again: LLaVA-1.5 often leaves out its
vision tower, clip-vit-large-patch14-336.
Rows that a type cannot divide get another one; the summary lists them.

Examples:
  sd-rpn convert --checkpoint Q-Zoom-Qwen2.5VL-7B --out qzoom-7b --type q8_0
  sd-rpn convert --checkpoint SD-RPN-7b --out rpn-f16.gguf --name llava-v1.5-7b`;

export function convertCommand(signal: AbortSignal): Command {
  return new Command("convert")
    .description("make GGUF files out of a published checkpoint")
    .requiredOption("--checkpoint <dir>", "folder of the checkpoint: config.json, safetensors, tokenizer")
    .requiredOption("--out <file>", "folder for the three files, or the RPN file to write")
    .option("--base <dir...>", "folder of the model that a pruned checkpoint was made of")
    .addOption(new Option("--only <file>", "the RPN file alone").choices(["rpn"]))
    .addOption(new Option("--type <type>", "type of the weights; norms stay f32").choices([...CONVERT_TYPES]).default("f16"))
    .option("--name <name>", "name of the model, for information")
    .option("--threshold <t>", "threshold to write into the RPN file (default: the checkpoint's, else 0.15 for LLaVA-1.5, 0.1 for Qwen-VL)", numberParser(predictSchema.shape.threshold, "--threshold"))
    .addHelpText("after", NOTES)
    .action((options: Options) => convert(options, signal));
}

async function convert(options: Options, signal: AbortSignal): Promise<void> {
  const progress = new Progress("converting");
  const result = await convertCheckpoint({ ...options, onProgress: progress.update, signal }).finally(() => progress.stop());
  printTable([
    ...result.files.map((file) => ["wrote", file] as const),
    ["tensors", String(result.tensors)],
    ["read", formatBytes(result.bytesRead)],
    ["written", formatBytes(result.bytesWritten)],
    ...result.fallbacks.map((fallback) => ["fallback", fallback] as const),
  ]);
}
