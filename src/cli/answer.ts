import { Command } from "commander";
import { type AnswerOptions, answerSchema } from "../answer/options.js";
import type { JsonFormat } from "../answer/form/format.js";
import { readTextFile } from "../base/regular-file.js";
import { checkOutput, UsageError, withIoError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { checkOverlayPossible, writeOverlay } from "./overlay-file.js";
import { choiceParser, collect, numberParser, parseRoI } from "./parse.js";
import { printHint, printJson, printLine } from "./print.js";
import { addReadingOptions, addRegionOptions, methodOf, type ReadingOptions, readingOf, type RegionOptions, SYSTEM_HELP } from "./region-options.js";

type Options = ModelOptions & RegionOptions & ReadingOptions & Omit<AnswerOptions, "onToken" | "signal" | "format" | "choices" | "history"> & { json?: true; jsonSchema?: string; choice?: string[]; overlay?: string };

const EXAMPLES = `
Examples:
  sd-rpn answer receipt.jpg "What is the total?"
  sd-rpn answer receipt.jpg "What is the total?" --roi "120,900,400,160" --json
  sd-rpn answer plan.png "Which room is this?" --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf
  sd-rpn answer plan.png "Which room is this?" --model llava.gguf --mmproj mmproj.gguf --heads heads.json`;

export function answerCommand(signal: AbortSignal): Command {
  const { roiPositions, maxTokens, temperature, topP, topK, seed, logprobs } = answerSchema.shape;
  const command = new Command("answer");
  addReadingOptions(addRegionOptions(command))
    .description("answer a question about a picture; the text is printed as it comes")
    .argument("<image>", "path of the picture")
    .argument("<question>", "the question")
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
    .option("--choice <text>", "one of the texts of which the likeliest is the answer; given at least twice", collect)
    .option("--logprobs <n>", "with --json: each token's log-probability and those of the n likeliest, 1 to 20", numberParser(logprobs, "--logprobs"))
    .option("--json", "print one JSON document, with region, usage and timings, instead of the text")
    .option("--overlay <png>", "write the picture with heat map and boxes to this file");
  return addModelOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((image: string, question: string, options: Options) => answer(image, question, options, signal));
}

async function answer(image: string, question: string, options: Options, signal: AbortSignal): Promise<void> {
  const { roi, heads, threshold, gate, roiPositions, system, exact, maxTokens, temperature, topP, topK, seed, stop, logprobs, json, overlay } = options;
  const method = methodOf(options);
  if (logprobs !== undefined && !json) {
    throw new UsageError("Expected --json with --logprobs, which are part of the document that it prints");
  }
  const grammar = await readGrammar(options.grammar);
  const format = await readSchema(options.jsonSchema);
  if (overlay !== undefined && (roi === "never" || Array.isArray(roi))) {
    throw new UsageError("Expected --roi auto or always with --overlay, which shows where a region was found");
  }
  await checkOutput("write the overlay", overlay);
  await withModel(options, signal, async (model) => {
    if (overlay !== undefined) {
      checkOverlayPossible(model, { roi, method });
    }
    const printer = json ? undefined : new TextPrinter();
    const asked = { ...readingOf(options), roi, method, threshold, gate, roiPositions, system, exact, maxTokens, temperature, topP, topK, seed, stop, grammar, format, choices: options.choice, logprobs, onToken: printer?.print, signal };
    const result = await model.answer(image, question, asked).finally(() => printer?.end());
    if (json) {
      printJson(result);
    } else {
      result.hints.forEach(printHint);
    }
    if (overlay !== undefined && result.roi) {
      await writeOverlay(model, image, result.roi, overlay);
    }
  }, { heads });
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

/** Prints text to stdout as it arrives, followed by a line end; prints no line end where a call failed before any text. */
export class TextPrinter {
  private started = false;

  readonly print = (text: string): void => {
    this.started = true;
    process.stdout.write(text);
  };

  end(): void {
    if (this.started) {
      printLine();
    }
  }
}
