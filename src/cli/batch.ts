import { Command, Option } from "commander";
import { batchFile, type BatchFileOptions, type BatchProgress } from "../batch/batch-file.js";
import { batchSchema } from "../batch/options.js";
import { loadSchema } from "../model/load-options.js";
import { addAnswerOptions, type AnswerFlags, answerOptionsOf, LOGPROBS_HELP, parseLogprobs } from "./answer-options.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { numberParser } from "./parse.js";
import { printJson, printTable } from "./print.js";
import { Progress } from "./progress.js";

type Options = ModelOptions &
  AnswerFlags &
  Pick<BatchFileOptions, "question" | "images" | "out" | "overlay" | "concurrency"> & { format?: "jsonl" | "csv"; parallel?: number; json?: true };

const NOTES = `
A question file is JSON Lines: {"image": "a.jpg", "question": "What is the total?", "id": "a"}; without an id it is the line's number,
without a question it is that of --question. Killed or interrupted, the same command goes on behind the last answer in the file. An item
that fails is recorded with its error's code, and the rest goes on.

Examples:
  sd-rpn batch receipts --question "What is the total?" --out totals.csv
  sd-rpn batch questions.jsonl --images pictures --out answers.jsonl --overlay seen --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf`;

export function batchCommand(signal: AbortSignal): Command {
  const command = new Command("batch");
  addAnswerOptions(command)
    .description("answer questions about many pictures, into a file")
    .argument("<data>", "a folder of pictures, or a question file")
    .option("--question <text>", "about every picture that has no question of its own")
    .requiredOption("--out <file>", "the file of answers to write, or to continue: .jsonl or .csv")
    .addOption(new Option("--format <kind>", "of that file (default: by its ending)").choices(["jsonl", "csv"]))
    .option("--images <dir>", "folder that the pictures of a question file are relative to (default: the file's)")
    .option("--overlay <dir>", "write each picture with heat map and boxes to this folder, as PNG files named after the ids")
    .option("--concurrency <n>", "items in work at a time (default: 2 * parallel + 2)", numberParser(batchSchema.shape.concurrency, "--concurrency"))
    .option("--parallel <n>", "answers that are decoded together, which takes as much more memory (default: 1)", numberParser(loadSchema.shape.parallel, "--parallel"))
    .option("--logprobs <n>", LOGPROBS_HELP, parseLogprobs)
    .option("--json", "print the summary as one JSON document");
  return addModelOptions(command)
    .addHelpText("after", NOTES)
    .action((data: string, options: Options) => run(data, options, signal));
}

async function run(data: string, options: Options, signal: AbortSignal): Promise<void> {
  const { question, images, out, format, overlay, concurrency, parallel, heads, json } = options;
  const asked = await answerOptionsOf(options);
  await withModel(options, signal, async (model) => {
    const progress = new Progress("answering", "items");
    const onProgress = ({ done, total, failed }: BatchProgress): void => progress.count(done, total, failed > 0 ? `${failed} failed` : "");
    const result = await batchFile(model, { ...asked, data, question, images, out, fileFormat: format, overlay, concurrency, onProgress, signal }).finally(() => progress.stop());
    json ? printJson(result) : printTable([["wrote", out], ["items", `${result.done} of ${result.total}`], ["failed", `${result.failed} of this call's`]]);
  }, { heads, parallel });
}
