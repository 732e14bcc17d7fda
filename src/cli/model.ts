import type { Command } from "commander";
import { loadModel, type Model } from "../model/model.js";
import type { LogLevel } from "../native/binding.js";
import { type LoadOptions, loadSchema } from "../model/load-options.js";
import { UsageError } from "./exit.js";
import { numberParser } from "./parse.js";
import { Progress } from "./progress.js";

/** The options that say which model to load, and how, under commander's names for them. */
export type ModelOptions = Pick<LoadOptions, "model" | "mmproj" | "rpn" | "gpuLayers" | "threads" | "contextSize">;

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** @param withRpn whether the command works with a region proposal network that the model has */
export function addModelOptions(command: Command, withRpn = true): Command {
  const { gpuLayers, threads, contextSize } = loadSchema.shape;
  command
    .option("--model <file>", "language model, a GGUF file; or its folder, or hf:OWNER/NAME[:FILE] of `sd-rpn pull` (default: the demo model)")
    .option("--mmproj <file>", "the vision tower and projector that belong to it (default: what lies beside it)");
  if (withRpn) {
    command.option("--rpn <file>", "its region proposal network (default: what lies beside it); without one there are plain answers only");
  }
  return command
    .option("--gpu-layers <n>", "layers on the GPU, or auto: all of them where there is a GPU", numberParser(gpuLayers, "--gpu-layers"))
    .option("--threads <n>", "threads of the CPU backend", numberParser(threads, "--threads"))
    .option("--context-size <n>", "tokens of question, picture and answer together", numberParser(contextSize, "--context-size"));
}

/**
 * Loads the model, with a progress bar where that takes long, calls `use` with it and frees it.
 *
 * @throws {UsageError} --mmproj or --rpn without --model, an unknown level in SD_RPN_LOG
 */
export async function withModel(
  given: ModelOptions,
  signal: AbortSignal,
  use: (model: Model) => Promise<void>,
  more: LoadOptions = {},
): Promise<void> {
  checkModelOptions(given);
  const { model, mmproj, rpn, gpuLayers, threads, contextSize } = given;
  const progress = new Progress("loading");
  const options = { model, mmproj, rpn, gpuLayers, threads, contextSize, log: logToStderr(), onProgress: progress.update, signal, ...more };
  const loaded = await loadModel(options).finally(() => progress.stop());
  try {
    await use(loaded);
  } finally {
    await loaded.dispose();
  }
}

/** @throws {UsageError} --mmproj or --rpn without --model */
export function checkModelOptions({ model, mmproj, rpn }: ModelOptions): void {
  if (model === undefined && (mmproj !== undefined || typeof rpn === "string")) {
    throw new UsageError("Expected --model with --mmproj and --rpn, or none of the three for the demo model");
  }
}

/** `rpn` of a command that has no use for a network: one that lies beside a model is not loaded. */
export function withoutNetwork(model: string | undefined): null | undefined {
  return model === undefined ? undefined : null;
}

/** Prints messages of the level in SD_RPN_LOG and above; undefined where it is not set. */
export function logToStderr(): LoadOptions["log"] {
  const wanted = process.env.SD_RPN_LOG ?? "";
  if (wanted === "" || wanted === "0") {
    return undefined;
  }
  const least = LEVELS.indexOf((wanted === "1" ? "info" : wanted) as LogLevel);
  if (least < 0) {
    throw new UsageError(`Expected 1, debug, info, warn or error for SD_RPN_LOG but received ${wanted}`);
  }
  return (level, text) => {
    if (LEVELS.indexOf(level) >= least) {
      process.stderr.write(text);
    }
  };
}
