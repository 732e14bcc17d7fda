import type { Command } from "commander";
import { type PredictOptions, predictSchema } from "../answer/options.js";
import { HEAD_PRESETS } from "../engine/head-choice.js";
import { UsageError } from "./exit.js";
import { choiceParser, numberParser } from "./parse.js";

/** How a region is found, of the commands that look for one. */
export type RegionOptions = Pick<PredictOptions, "method" | "threshold"> & { heads?: string };

export const SYSTEM_HELP = "stands before the picture, in the place of the system text that the model's chat template may have";

export function addRegionOptions(command: Command): Command {
  const { method, threshold } = predictSchema.shape;
  return command
    .option("--method <name>", "what finds the region: rpn, the default where there is a network; attention, the default with --heads; or vicrop, which needs neither", choiceParser(method, "--method"))
    .option("--heads <name|file>", `attention heads for --method attention: a file of \`sd-rpn heads --out\`, or a preset: ${Object.keys(HEAD_PRESETS).join(", ")}`)
    .option(
      "--threshold <t>",
      "what makes a region. rpn: probability, -1 to 1, below 0 relative to the largest (default: the RPN file's); attention: part of the greatest (default: 0.2)",
      numberParser(threshold, "--threshold"),
    );
}

/**
 * The method of the options. Heads are for attention, so they name it.
 *
 * @throws {UsageError} for heads with another method
 */
export function methodOf({ method, heads }: RegionOptions): RegionOptions["method"] {
  if (heads !== undefined && method !== undefined && method !== "attention") {
    throw new UsageError(`Expected --heads with --method attention, which alone uses them, but received --method ${method}`);
  }
  return heads === undefined ? method : "attention";
}
