import type { Command } from "commander";
import { type PredictOptions, predictSchema } from "../answer/options.js";
import { HEAD_PRESETS } from "../engine/head-choice.js";
import { imageOptionsShape } from "../image/taken-picture.js";
import { UsageError } from "./exit.js";
import { choiceParser, numberParser, parseGate, parseImageTokens, parseTiles } from "./parse.js";

export function addReadingOptions(command: Command): Command {
  const { background, rotate, page, dpi } = imageOptionsShape;
  return command
    .option("--background <color>", 'what lies under transparent pixels, "#rrggbb" (default: white), or "drop" to ignore transparency', choiceParser(background, "--background"))
    .option("--rotate <degrees>", "turn the picture clockwise by 90, 180 or 270 before it is read; boxes stay those of the file", numberParser(rotate, "--rotate"))
    .option("--page <n>", "page or frame of a PDF, TIFF, GIF or WebP file, from 0", numberParser(page, "--page"))
    .option("--dpi <n>", "pixels to the inch of a PDF's pages (default: 200)", numberParser(dpi, "--dpi"))
    .option("--image-tokens <n|min-max>", "tokens of a view, for models whose views differ in size (default: the RPN file's)", parseImageTokens);
}

export function readingOf({ background, rotate, page, dpi, imageTokens }: ReadingOptions): ReadingOptions {
  return { background, rotate, page, dpi, imageTokens };
}

/** How a region is found, of the commands that look for one. */
export type RegionOptions = Pick<PredictOptions, "method" | "threshold" | "gate" | "tiles"> & { heads?: string };

/** How a picture is read, and how much of it the model sees. */
export type ReadingOptions = Pick<PredictOptions, "background" | "rotate" | "page" | "dpi" | "imageTokens">;

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
    )
    .option("--tiles <auto|n>", "ask the network in overlapping windows of a tall, wide or large picture: auto, or at most so many", parseTiles)
    .option("--gate <score>", "networks with a gate: the least score with which the region is looked for, auto (the RPN file's, the default) or off", parseGate);
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
