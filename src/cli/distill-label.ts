import { Command } from "commander";
import { parseShard } from "../data/shard.js";
import { SdRpnError } from "../base/errors.js";
import { HEAD_PRESETS, type HeadChoice, type HeadPreset, headsOfFile, readHeadsFile } from "../engine/head-choice.js";
import { labelSchema, type LabelConstants } from "../distill/label.js";
import { labelFile, type LabelFileOptions, type LabelProgress } from "../distill/label-run.js";
import { modelIdentity } from "../engine/model-identity.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { UsageError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel, withoutNetwork } from "./model.js";
import { numberParser } from "./parse.js";
import { printJson, printTable } from "./print.js";
import { Progress } from "./progress.js";

type Options = Omit<ModelOptions, "rpn"> &
  LabelConstants &
  Pick<LabelFileOptions, "data" | "images" | "out" | "shard" | "maxTokens"> & { heads?: string; preset?: HeadPreset; json?: true };

const NOTES = `
Killed or interrupted, the same command goes on after the last pair that is in the file. A pair that fails is recorded
with its error's code and skipped. Several machines take a part each and "sd-rpn distill merge" joins them:

  sd-rpn distill label --heads heads.json --data qa.jsonl --images pictures --shard 1/4 --out labels-1.jsonl`;

const CONSTANTS = [
  ["--sink-threshold <a>", "sinkThreshold", "cells whose sink attention reaches this count as 0 (default: 0.001)"],
  ["--foreground-ratio <r>", "foregroundRatio", "foreground exceeds this part of the greatest attention (default: 0.2)"],
  ["--background-ratio <r>", "backgroundRatio", "background is below this part of it (default: 0.1)"],
  ["--max-foreground-area <r>", "maxForegroundArea", "a pair whose foreground box covers this part of the grid is not used (default: 0.5)"],
  ["--min-attention <a>", "minAttention", "a pair whose greatest attention is below this is not used (default: 0)"],
  ["--max-tokens <n>", "maxTokens", "of the answer (default: 128)"],
] as const;

export function distillLabelCommand(signal: AbortSignal): Command {
  const command = new Command("label")
    .description("make labels out of the attention with which a model answers questions")
    .requiredOption("--data <file>", "question file, JSONL with image and question")
    .requiredOption("--out <file>", "the label file to write, or to continue")
    .option("--images <dir>", "folder that pictures are relative to (default: the question file's)")
    .option("--heads <file>", "the heads, a file of `sd-rpn heads --out`")
    .option("--preset <name>", `known heads: ${Object.keys(HEAD_PRESETS).join(", ")}`)
    .option("--shard <i/n>", "just the i-th of n parts", shardOf);
  for (const [flags, key, help] of CONSTANTS) {
    command.option(flags, help, numberParser(labelSchema.shape[key], flags.split(" ")[0]));
  }
  command.option("--json", "print one JSON document");
  return addModelOptions(command, false)
    .addHelpText("after", NOTES)
    .action((options: Options) => distillLabel(options, signal));
}

async function distillLabel(options: Options, signal: AbortSignal): Promise<void> {
  const { model, mmproj, gpuLayers, threads, contextSize, heads, preset, json, ...rest } = options;
  if ((heads === undefined) === (preset === undefined)) {
    throw new UsageError("Expected one of --heads and --preset");
  }
  await withModel({ model, mmproj, rpn: withoutNetwork(model), gpuLayers, threads, contextSize }, signal, async (loaded) => {
    const chosen = preset ?? (await readHeads(loaded, heads as string));
    const progress = new Progress("labelling", "pairs");
    const onProgress = ({ done, total }: LabelProgress): void => progress.count(done, total);
    const result = await labelFile(loaded, { ...rest, heads: chosen, onProgress, signal }).finally(() => progress.stop());
    json ? printJson(result) : printTable(summary(result, rest.out));
  });
}

async function readHeads(model: Model, file: string): Promise<HeadChoice> {
  return headsOfFile(await readHeadsFile(file), modelIdentity(engineOf(model)));
}

function summary({ done, total, kept, ignored, failed }: LabelProgress, out: string): [string, string][] {
  const earlier = done - kept - ignored - failed;
  return [
    ["wrote", out],
    ["pairs", `${done} of ${total}${earlier > 0 ? `, ${earlier} of them were there before` : ""}`],
    ["now", `${kept} to learn from, ${ignored} that tell nothing, ${failed} failed`],
  ];
}

function shardOf(text: string): LabelFileOptions["shard"] {
  try {
    return parseShard(text);
  } catch (error) {
    throw error instanceof SdRpnError ? new UsageError(error.message.replace("for shard", "for --shard")) : error;
  }
}
