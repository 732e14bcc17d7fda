import type { Command } from "commander";
import { type AnswerOptions, answerSchema } from "../answer/options.js";
import type { JsonFormat } from "../answer/form/format.js";
import { readTextFile } from "../base/regular-file.js";
import { UsageError, withIoError } from "./exit.js";
import { choiceParser, collect, numberParser, parseRoI } from "./parse.js";
import { addReadingOptions, addRegionOptions, methodOf, type ReadingOptions, readingOf, type RegionOptions, SYSTEM_HELP } from "./region-options.js";

/** The options that say how a question is answered, under commander's names for them. */
export type AnswerFlags = RegionOptions & ReadingOptions & Omit<AnswerOptions, "onToken" | "signal" | "format" | "choices" | "history"> & { jsonSchema?: string; choice?: string[] };

export const LOGPROBS_HELP = "each token's log-probability and those of the n likeliest, 1 to 20";

export const parseLogprobs = numberParser(answerSchema.shape.logprobs, "--logprobs");

export function addAnswerOptions(command: Command): Command {
  const { roiPositions, maxTokens, temperature, topP, topK, seed } = answerSchema.shape;
  return addReadingOptions(addRegionOptions(command))
    .option(
      "--roi <mode>",
      "auto: a second look where a region is found; always: at the likeliest place otherwise; never: one view; or boxes to look at: x,y,width,height[;...]",
      parseRoI,
    )
    .option("--roi-positions <kind>", "positions of the second look's tokens, of Q-Zoom: fresh or aligned (default: the RPN file's)", choiceParser(roiPositions, "--roi-positions"))
    .option("--system <text>", SYSTEM_HELP)
    .option("--exact", "keep white space at the ends of the question")
    .option("--max-tokens <n>", "longest answer (default: 128)", numberParser(maxTokens, "--max-tokens"))
    .option("--temperature <t>", "0: greedy, the default", numberParser(temperature, "--temperature"))
    .option("--top-p <p>", "sample from the likeliest tokens that have this probability together", numberParser(topP, "--top-p"))
    .option("--top-k <k>", "sample from this many tokens; 0: all", numberParser(topK, "--top-k"))
    .option("--seed <n>", "of sampling (default: a random one)", numberParser(seed, "--seed"))
    .option("--stop <text>", "end the answer before this text; may be repeated", collect)
    .option("--grammar <file>", "the answer is a text of the grammar in this file, in llama.cpp's GBNF")
    .option("--json-schema <file>", "the answer is JSON of the JSON Schema in this file")
    .option("--choice <text>", "one of the texts of which the likeliest is the answer; given at least twice", collect);
}

/** @throws {UsageError} for a schema that is no JSON; IO_ERROR of the files that are named */
export async function answerOptionsOf(options: AnswerFlags): Promise<AnswerOptions> {
  const { roi, threshold, gate, tiles, roiPositions, system, exact, maxTokens, temperature, topP, topK, seed, stop, logprobs, choice } = options;
  const grammar = await readGrammar(options.grammar);
  const format = await readSchema(options.jsonSchema);
  return { ...readingOf(options), roi, method: methodOf(options), threshold, gate, tiles, roiPositions, system, exact, maxTokens, temperature, topP, topK, seed, stop, grammar, format, choices: choice, logprobs };
}

async function readGrammar(path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : withIoError("read the grammar", () => readTextFile(path));
}

async function readSchema(path: string | undefined): Promise<JsonFormat | undefined> {
  if (path === undefined) {
    return undefined;
  }
  const text = await withIoError("read the schema", () => readTextFile(path));
  try {
    return { type: "json", schema: JSON.parse(text) as object };
  } catch (error) {
    throw new UsageError(`Expected JSON in the file of --json-schema: ${(error as Error).message}`);
  }
}
