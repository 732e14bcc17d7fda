import { createInterface } from "node:readline";
import { Command } from "commander";
import { type AnswerOptions, answerSchema } from "../answer/options.js";
import { throwIfAborted } from "../base/abort.js";
import { TextPrinter } from "./answer.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { numberParser, parseRoI } from "./parse.js";
import { printHint } from "./print.js";
import { addRegionOptions, methodOf, type RegionOptions, SYSTEM_HELP } from "./region-options.js";

type Options = ModelOptions & RegionOptions & Pick<AnswerOptions, "roi" | "system" | "maxTokens" | "temperature" | "seed">;

const EXAMPLES = `
Examples:
  sd-rpn chat receipt.jpg
  sd-rpn chat plan.png --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf --system "Answer in one word."
  sd-rpn chat receipt.jpg < questions.txt`;

export function chatCommand(signal: AbortSignal): Command {
  const { maxTokens, temperature, seed } = answerSchema.shape;
  const command = new Command("chat");
  addRegionOptions(command)
    .description("answer questions about a picture, one a line from stdin, each with those before it in mind; the end of the input ends it")
    .argument("<image>", "path of the picture")
    .option("--roi <mode>", "as of answer", parseRoI)
    .option("--system <text>", SYSTEM_HELP)
    .option("--max-tokens <n>", "longest answer (default: 128)", numberParser(maxTokens, "--max-tokens"))
    .option("--temperature <t>", "0: greedy, the default", numberParser(temperature, "--temperature"))
    .option("--seed <n>", "of sampling (default: a random one)", numberParser(seed, "--seed"));
  return addModelOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((image: string, options: Options) => chat(image, options, signal));
}

async function chat(image: string, options: Options, signal: AbortSignal): Promise<void> {
  const { roi, heads, threshold, system, maxTokens, temperature, seed } = options;
  const method = methodOf(options);
  await withModel(options, signal, async (model) => {
    await using session = await model.open(image, { system, signal });
    const talk = session.chat();
    const lines = createInterface({ input: process.stdin, signal }); // the terminal itself edits lines
    askForLine();
    for await (const question of lines) {
      if (question.trim() !== "") {
        const printer = new TextPrinter();
        const { hints } = await talk.answer(question, { roi, method, threshold, maxTokens, temperature, seed, onToken: printer.print, signal }).finally(() => printer.end());
        hints.forEach(printHint);
      }
      askForLine();
    }
    throwIfAborted(signal);
  }, { heads });
}

/** On a terminal; on stderr, so that stdout has answers only. */
function askForLine(): void {
  if (process.stdin.isTTY) {
    process.stderr.write("> ");
  }
}
