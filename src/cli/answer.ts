import { Command } from "commander";
import { type AnswerOptions, answerSchema } from "../answer/options.js";
import { checkOutput, UsageError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { checkOverlayPossible, writeOverlay } from "./overlay-file.js";
import { collect, numberParser, parseRoI } from "./parse.js";
import { printJson, printLine } from "./print.js";

type Options = ModelOptions & Omit<AnswerOptions, "onToken" | "signal"> & { json?: true; overlay?: string };

const EXAMPLES = `
Examples:
  sd-rpn answer receipt.jpg "What is the total?"
  sd-rpn answer receipt.jpg "What is the total?" --roi "120,900,400,160" --json
  sd-rpn answer plan.png "Which room is this?" --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf`;

export function answerCommand(signal: AbortSignal): Command {
  const { threshold, maxTokens, temperature, topP, topK, seed } = answerSchema.shape;
  const command = new Command("answer")
    .description("answer a question about a picture; the text is printed as it comes")
    .argument("<image>", "path of the picture")
    .argument("<question>", "the question")
    .option(
      "--roi <mode>",
      "auto: a second look where a region is found; always: at the likeliest place otherwise; never: one view; or boxes to look at: x,y,width,height[;...]",
      parseRoI,
    )
    .option("--threshold <t>", "probability that makes a region, -1 to 1; below 0 relative to the largest (default: the RPN file's)", numberParser(threshold, "--threshold"))
    .option("--exact", "keep white space at the ends of the question")
    .option("--max-tokens <n>", "longest answer (default: 128)", numberParser(maxTokens, "--max-tokens"))
    .option("--temperature <t>", "0: greedy, the default", numberParser(temperature, "--temperature"))
    .option("--top-p <p>", "sample from the likeliest tokens that have this probability together", numberParser(topP, "--top-p"))
    .option("--top-k <k>", "sample from this many tokens; 0: all", numberParser(topK, "--top-k"))
    .option("--seed <n>", "of sampling (default: a random one)", numberParser(seed, "--seed"))
    .option("--stop <text>", "end the answer before this text; may be repeated", collect)
    .option("--json", "print one JSON document, with region, usage and timings, instead of the text")
    .option("--overlay <png>", "write the picture with heat map and boxes to this file");
  return addModelOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((image: string, question: string, options: Options) => answer(image, question, options, signal));
}

async function answer(image: string, question: string, options: Options, signal: AbortSignal): Promise<void> {
  const { roi, threshold, exact, maxTokens, temperature, topP, topK, seed, stop, json, overlay } = options;
  if (overlay !== undefined && (roi === "never" || Array.isArray(roi))) {
    throw new UsageError("Expected --roi auto or always with --overlay, which shows what the region proposal network saw");
  }
  await checkOutput("write the overlay", overlay);
  await withModel(options, signal, async (model) => {
    if (overlay !== undefined) {
      checkOverlayPossible(model);
    }
    const printer = json ? undefined : new TextPrinter();
    const asked = { roi, threshold, exact, maxTokens, temperature, topP, topK, seed, stop, onToken: printer?.print, signal };
    const result = await model.answer(image, question, asked).finally(() => printer?.end());
    if (json) {
      printJson(result);
    }
    if (overlay !== undefined && result.roi) {
      await writeOverlay(model, image, result.roi, overlay);
    }
  });
}

/** Prints text to stdout as it arrives, followed by a line end; prints no line end where a call failed before any text. */
class TextPrinter {
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
