import { Command } from "commander";
import { mergeLabels } from "../distill/label-run.js";
import { printTable } from "./print.js";

const NOTES = `
Every pair of the question file must be in one of the label files, and in no more than one; nothing is written otherwise.

Example:
  sd-rpn distill merge labels-*.jsonl --data qa.jsonl --out labels.jsonl`;

export function distillMergeCommand(signal: AbortSignal): Command {
  return new Command("merge")
    .description("join the label files of several shards, and check that nothing is missing")
    .argument("<files...>", "label files")
    .requiredOption("--data <file>", "the question file they were made from")
    .requiredOption("--out <file>", "the label file to write")
    .addHelpText("after", NOTES)
    .action(async (files: string[], { data, out }: { data: string; out: string }) => {
      const { pairs } = await mergeLabels({ files, data, out, signal });
      printTable([
        ["wrote", out],
        ["pairs", `${pairs} of ${files.length} files`],
      ]);
    });
}
