import { Command } from "commander";
import { version } from "../base/version.js";
import { answerCommand } from "./answer.js";
import { batchCommand } from "./batch.js";
import { chatCommand } from "./chat.js";
import { convertCommand } from "./convert.js";
import { demoCommand } from "./demo.js";
import { distillCommand } from "./distill.js";
import { headsCommand } from "./distill-heads.js";
import { evalCommand } from "./eval.js";
import { infoCommand } from "./info.js";
import { pullCommand } from "./pull.js";
import { roiCommand } from "./roi.js";
import { serveCommand } from "./serve.js";

const EPILOGUE = `
Without --model the embedded demo model is used. "sd-rpn help COMMAND" explains a command.

Environment:
  SD_RPN_LOG      1, debug, info, warn or error: messages of ggml, llama.cpp and mtmd of that level and
                  above go to stderr; 1 is info
  SD_RPN_CACHE    folder of fetched models (default: sd-rpn in the system's folder of caches)
  HF_ENDPOINT, HF_TOKEN   the hub that models are fetched from, and a token for it
  SD_RPN_API_KEYS   keys of sd-rpn serve, with commas between them
  SD_RPN_BINARY   the native addon to load instead of the package's own
  NO_COLOR        no colours

Exit codes: 0 done, 1 error (one line on stderr: "sd-rpn: CODE: message"), 2 wrong usage,
            130 interrupted by Ctrl-C, 141 the reader of the output went away`;

/** The whole command line; `signal` is aborted by Ctrl-C. */
export function createProgram(signal: AbortSignal): Command {
  const program = new Command("sd-rpn")
    .description("Asks a local LLaVA model about the small print of a picture: a region proposal network finds where to look again.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "explain a command")
    .enablePositionalOptions() // options after a command belong to it: "eval" and "eval merge" both have --out
    .addHelpText("after", EPILOGUE);
  const commands = [demoCommand(signal), answerCommand(signal), batchCommand(signal), chatCommand(signal), roiCommand(signal), serveCommand(signal), infoCommand(signal), convertCommand(signal), pullCommand(signal), headsCommand(signal), distillCommand(signal), evalCommand(signal)];
  for (const command of commands) {
    program.addCommand(command.helpOption("-h, --help", "print this help"));
  }
  for (const command of [program, ...commands, ...commands.flatMap((parent) => parent.commands)]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "sd-rpn: ")),
    });
  }
  return program;
}
