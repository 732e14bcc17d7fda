import { Command } from "commander";
import { writeOverlay } from "../batch/overlay-file.js";
import { addAnswerOptions, type AnswerFlags, answerOptionsOf, LOGPROBS_HELP, parseLogprobs } from "./answer-options.js";
import { checkOutput, UsageError } from "./exit.js";
import { IMAGE_HELP, imageOf } from "./image-argument.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { checkOverlayPossible } from "./overlay-file.js";
import { printHint, printJson, printLine } from "./print.js";

type Options = ModelOptions & AnswerFlags & { json?: true; overlay?: string };

const EXAMPLES = `
Examples:
  sd-rpn answer receipt.jpg "What is the total?"
  sd-rpn answer receipt.jpg "What is the total?" --roi "120,900,400,160" --json
  sd-rpn answer plan.png "Which room is this?" --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf
  sd-rpn answer plan.png "Which room is this?" --model llava.gguf --mmproj mmproj.gguf --heads heads.json`;

export function answerCommand(signal: AbortSignal): Command {
  const command = new Command("answer");
  addAnswerOptions(command)
    .description("answer a question about a picture; the text is printed as it comes")
    .argument("<image>", IMAGE_HELP)
    .argument("<question>", "the question")
    .option("--logprobs <n>", `with --json: ${LOGPROBS_HELP}`, parseLogprobs)
    .option("--json", "print one JSON document, with region, usage and timings, instead of the text")
    .option("--overlay <png>", "write the picture with heat map and boxes to this file");
  return addModelOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((image: string, question: string, options: Options) => answer(image, question, options, signal));
}

async function answer(image: string, question: string, options: Options, signal: AbortSignal): Promise<void> {
  const { roi, heads, logprobs, json, overlay } = options;
  if (logprobs !== undefined && !json) {
    throw new UsageError("Expected --json with --logprobs, which are part of the document that it prints");
  }
  const asked = await answerOptionsOf(options);
  if (overlay !== undefined && (roi === "never" || Array.isArray(roi))) {
    throw new UsageError("Expected --roi auto or always with --overlay, which shows where a region was found");
  }
  await checkOutput("write the overlay", overlay);
  const picture = await imageOf(image);
  await withModel(options, signal, async (model) => {
    if (overlay !== undefined) {
      checkOverlayPossible(model, asked);
    }
    const printer = json ? undefined : new TextPrinter();
    const result = await model.answer(picture, question, { ...asked, onToken: printer?.print, signal }).finally(() => printer?.end());
    if (json) {
      printJson(result);
    } else {
      result.hints.forEach(printHint);
    }
    if (overlay !== undefined && result.roi) {
      await writeOverlay(model, picture, result.roi, overlay, asked);
    }
  }, { heads });
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
