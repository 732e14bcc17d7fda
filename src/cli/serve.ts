import { Command } from "commander";
import { loadSchema } from "../model/load-options.js";
import { readKeys } from "../server/keys.js";
import { type ServeOptions, serveSchema } from "../server/options.js";
import { checkModelOptions, logToStderr, addModelOptions, type ModelOptions } from "./model.js";
import { collect, choiceParser, numberParser } from "./parse.js";

const MIB = 1024 * 1024;

interface Options extends ModelOptions {
  host?: string;
  port?: number;
  name?: string;
  heads?: string;
  apiKeys?: string;
  maxBody?: number;
  maxPixels?: number;
  maxQueue?: number;
  timeout?: number;
  grace?: number;
  parallel?: number;
  sessionCache?: number;
  mediaPath?: string;
  allowHost?: string[];
  cors?: string[];
  logLevel?: ServeOptions["logLevel"];
  logQuestions?: true;
}

const NOTES = `
Asked as OpenAI's chat completions at /v1/chat/completions, and with routes of its own: docs/service.md. SIGTERM and Ctrl-C end it
when what is under way has been answered. Keys are read from --api-keys and from SD_RPN_API_KEYS (with commas between them).

Examples:
  sd-rpn serve
  sd-rpn serve --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf --host 0.0.0.0 --api-keys keys.txt`;

export function serveCommand(signal: AbortSignal): Command {
  const { maxBody, port, timeout, grace, logLevel } = serveSchema.shape;
  const { maxQueue, maxImagePixels, parallel, sessionCacheBytes } = loadSchema.shape;
  const command = new Command("serve")
    .description("serve a model over HTTP, as OpenAI's chat completions")
    .option("--host <address>", "address to listen on (default: 127.0.0.1, this machine alone)")
    .option("--port <n>", "default: 8080; 0: any that is free", numberParser(port, "--port"))
    .option("--name <name>", "the model's name for clients (default: its file's)")
    .option("--api-keys <file>", "keys of which a client has to send one, one a line")
    .option("--max-body <MiB>", "largest request, and picture that is fetched (default: 32)", (text) => MIB * numberParser(maxBody.unwrap().min(1).max(1024), "--max-body")(text))
    .option("--max-pixels <n>", "largest picture, width x height (default: 100 million)", numberParser(maxImagePixels, "--max-pixels"))
    .option("--max-queue <n>", "questions that may wait; more are refused with 429 (default: 64)", numberParser(maxQueue, "--max-queue"))
    .option("--timeout <s>", "seconds that a question may take, waiting included (default: 120)", numberParser(timeout, "--timeout"))
    .option("--grace <s>", "seconds that questions under way have to end (default: 30)", numberParser(grace, "--grace"))
    .option("--parallel <n>", "answers that are decoded together, which takes as much more memory (default: 1)", numberParser(parallel, "--parallel"))
    .option("--session-cache <MiB>", "memory for the state of earlier pictures (default: 512)", (text) => MIB * numberParser(sessionCacheBytes.unwrap().max(1 << 20), "--session-cache")(text))
    .option("--heads <name|file>", "attention heads for method attention")
    .option("--media-path <dir>", "folder below which file: URLs may name pictures (default: none)")
    .option("--allow-host <name>", "host from which pictures are fetched by http and https; may be repeated (default: none)", collect)
    .option("--cors <origin>", "origin whose pages may ask, or *; may be repeated (default: none)", collect)
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or silent (default: info)", choiceParser(logLevel, "--log-level"))
    .option("--log-questions", "log questions and answers, too");
  return addModelOptions(command)
    .addHelpText("after", NOTES)
    .action((options: Options) => run(options, signal));
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  checkModelOptions(options);
  const { host, port, name, maxBody, timeout, grace, mediaPath, allowHost, cors, logLevel, logQuestions } = options;
  const { model, mmproj, rpn, gpuLayers, threads, contextSize, heads, parallel, sessionCache, maxPixels, maxQueue = 64 } = options;
  const keys = await readKeys(options.apiKeys, process.env.SD_RPN_API_KEYS);
  const ended = new AbortController();
  const end = (): void => ended.abort();
  signal.aborted ? end() : signal.addEventListener("abort", end, { once: true }); // Ctrl-C
  process.once("SIGTERM", end);
  try {
    const { serve } = await import("../server/serve.js"); // fastify and what belongs to it are loaded here alone
    await serve(
      {
        host, port, name, keys, maxBody, timeout, grace, mediaPath, allowHosts: allowHost, cors, logLevel, logQuestions,
        signal: ended.signal,
        onListening: (url) => process.stderr.write(`sd-rpn: serving on ${url}\n`),
      },
      { model, mmproj, rpn, gpuLayers, threads, contextSize, heads, parallel, sessionCacheBytes: sessionCache, maxImagePixels: maxPixels, maxQueue, log: logToStderr() },
    );
  } finally {
    process.removeListener("SIGTERM", end);
  }
}
