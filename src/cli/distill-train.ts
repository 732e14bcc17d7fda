import { existsSync } from "node:fs";
import { Command, Option } from "commander";
import { writeRegularFile } from "../base/regular-file.js";
import { RPN_TYPES } from "../rpn/convert-checkpoint.js";
import { train } from "../distill/train.js";
import { trainCurve } from "../distill/train-curve.js";
import { type TrainOptions, type TrainProgress, type TrainResult, trainSchema } from "../distill/train-options.js";
import { checkOutput, UsageError, withIoError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel, withoutNetwork } from "./model.js";
import { collect, numberParser } from "./parse.js";
import { printJson, printTable } from "./print.js";
import { formatDuration, Progress } from "./progress.js";

type Options = Omit<ModelOptions, "rpn"> & Omit<TrainOptions, "onProgress" | "signal"> & { labels: string[]; plot?: string; json?: true };

const NOTES = `
A checkpoint is kept beside the output while the training runs. After Ctrl-C, a full disk or a killed process the
same command resumes from it and gives the same network, to the last bit; --no-resume starts anew.

Example:
  sd-rpn distill train --model llava.gguf --mmproj mmproj.gguf --labels labels.jsonl --out rpn.gguf --plot curve.svg`;

/** The numeric options: name on the command line, key of {@link TrainOptions}, help. */
const NUMBERS = [
  ["--threshold <t>", "threshold", "threshold to write into the file (default: 0.15)"],
  ["--branch-layer <k>", "branchLayer", "layers of the model below the network (default: 15 of 32 and 40, else that share)"],
  ["--block-count <t>", "blockCount", "blocks of the network (default: 3)"],
  ["--epochs <n>", "epochs", "passes over the pairs (default: 1)"],
  ["--batch-size <n>", "batchSize", "pairs of one step (default: what makes 297 steps, 8 to 512)"],
  ["--learning-rate <r>", "learningRate", "its peak (default: 0.00005)"],
  ["--warmup <share>", "warmup", "share of the steps in which the rate rises (default: 0.03)"],
  ["--weight-decay <w>", "weightDecay", "AdamW's (default: 0)"],
  ["--max-grad-norm <g>", "maxGradNorm", "gradients are scaled down to this norm; 0: never (default: 1)"],
  ["--seed <n>", "seed", "of the order and of the held-out pictures (default: 0)"],
  ["--held-out <share>", "heldOut", "share of the pictures to measure on (default: 0.02)"],
  ["--evaluate-every <n>", "evaluateEvery", "steps between measurements (default: a tenth of all)"],
  ["--checkpoint-every <n>", "checkpointEvery", "steps between checkpoints (default: 100)"],
  ["--workers <n>", "workers", "pairs computed at the same time"],
  ["--cache-bytes <n>", "cacheBytes", "memory for hidden states of later epochs (default: 1 GiB)"],
] as const satisfies readonly (readonly [string, keyof TrainOptions, string])[];

export function distillTrainCommand(signal: AbortSignal): Command {
  const command = new Command("train")
    .description("train a region proposal network on labels and write it as an RPN file")
    .requiredOption("--labels <file>", "label file of `distill label`; may be repeated", collect)
    .requiredOption("--out <file>", "the RPN file to write")
    .option("--images <dir>", "folder that pictures are relative to (default: as the label file says)")
    .addOption(new Option("--type <type>", "type of the weights; norms stay f32 (default: f16)").choices([...RPN_TYPES]));
  for (const [flags, key, help] of NUMBERS) {
    command.option(flags, help, numberParser(trainSchema.shape[key], flags.split(" ")[0]));
  }
  command
    .option("--checkpoint <file>", "file of the checkpoint (default: the output with .checkpoint appended)")
    .option("--resume", "continue from the checkpoint, which must exist (default: continue if there is one)")
    .option("--no-resume", "start anew")
    .option("--plot <svg>", "write the loss curve to this file", svgName)
    .option("--json", "print one JSON document instead of the table");
  return addModelOptions(command, false)
    .addHelpText("after", NOTES)
    .action((options: Options) => distillTrain(options, signal));
}

/** @throws {UsageError} before the training rather than after it */
function svgName(path: string): string {
  if (!path.toLowerCase().endsWith(".svg")) {
    throw new UsageError(`Expected file name ending in .svg for --plot but received ${path}`);
  }
  return path;
}

async function distillTrain(options: Options, signal: AbortSignal): Promise<void> {
  const { model, mmproj, gpuLayers, threads, contextSize, plot, json, ...rest } = options;
  await checkOutput("write the loss curve", plot);
  await withModel({ model, mmproj, rpn: withoutNetwork(model), gpuLayers, threads, contextSize }, signal, async (loaded) => {
    const progress = new Progress("training");
    const onProgress = (now: TrainProgress): void => progress.tell(now.step, now.steps, describe(now));
    const checkpoint = rest.checkpoint ?? `${rest.out}.checkpoint`;
    try {
      const result = await train(loaded, { ...rest, onProgress, signal }).finally(() => progress.stop());
      if (plot !== undefined) {
        await withIoError("write the loss curve", async () => writeRegularFile(plot, trainCurve(result)));
      }
      json ? printJson(result) : printTable(summary(result, plot));
    } catch (error) {
      if (existsSync(checkpoint)) {
        process.stderr.write(`sd-rpn: the work so far is in ${checkpoint}; the same command continues from there\n`);
      }
      throw error;
    }
  });
}

function describe({ step, steps, loss, pairsPerSecond, secondsLeft }: TrainProgress): string {
  return `${step}/${steps} steps | loss ${loss.toFixed(4)} | ${pairsPerSecond.toFixed(1)} pairs/s, ${formatDuration(secondsLeft)} left`;
}

function summary({ out, branchLayer, blockCount, batchSize, pairs, steps, evaluations, resumedFrom, seconds }: TrainResult, plot: string | undefined): [string, string][] {
  const last = evaluations.at(-1);
  const passedOver = pairs.unusable > 0 ? `, ${pairs.unusable} passed over` : "";
  return [
    ["wrote", out],
    ["network", `${blockCount} blocks after layer ${branchLayer}`],
    ["pairs", `${pairs.train} trained on, ${pairs.heldOut} held out${passedOver}`],
    ["steps", `${steps.length} of ${batchSize} pairs in ${formatDuration(seconds)}${resumedFrom > 0 ? `, resumed from step ${resumedFrom}` : ""}`],
    ["loss", steps.at(-1)?.loss.toFixed(4) ?? "none"],
    ...(last ? [["held out", `loss ${last.loss.toFixed(4)}, precision ${last.precision.toFixed(3)}, recall ${last.recall.toFixed(3)}`] as [string, string]] : []),
    ...(plot === undefined ? [] : [["plot", plot] as [string, string]]),
  ];
}
