import { Command } from "commander";
import { pull, type PullProgress } from "../hub/pull.js";
import { formatBytes, printJson, printLine, printTable } from "./print.js";
import { formatPace, Progress } from "./progress.js";

const NOTES = `
Without a file it is the repository's one language model, with the mmproj file and the region proposal network where there is one of each; with
the name of a language model that one and these. What was cut off goes on where it was; what is there already is not fetched again.

Environment: HF_ENDPOINT (default: https://huggingface.co), HF_TOKEN, SD_RPN_CACHE.

Examples:
  sd-rpn pull owner/llava-GGUF:llava-q8_0.gguf
  sd-rpn answer scan.png "What is the date?" --model hf:owner/llava-GGUF:llava-q8_0.gguf`;

export function pullCommand(signal: AbortSignal): Command {
  return new Command("pull")
    .description("fetch a model from a hub into the cache")
    .argument("<name>", "OWNER/NAME, OWNER/NAME:FILE or OWNER/NAME@REVISION:FILE")
    .option("--json", "print one JSON document")
    .addHelpText("after", NOTES)
    .action((name: string, options: { json?: true }) => run(name, options, signal));
}

async function run(name: string, { json }: { json?: true }, signal: AbortSignal): Promise<void> {
  const progress = new Progress("fetching");
  let first: { received: number; at: number } | undefined;
  const onProgress = ({ file, received, size }: PullProgress): void => {
    const now = performance.now();
    first ??= { received, at: now };
    // in MB, so that the pace is one of MB a second
    const [done, left] = [(received - first.received) / 1e6, (size - received) / 1e6];
    progress.tell(received, size, `${formatBytes(received)} of ${formatBytes(size)} | ${formatPace(done, (now - first.at) / 1000, left).replace("/s", " MB/s")} | ${file}`);
  };
  const result = await pull(name, { onProgress, signal }).finally(() => progress.stop());
  if (json) {
    printJson(result);
    return;
  }
  printTable([
    ...result.files.map(({ path, size, fetched }) => [fetched ? "fetched" : "there", `${path}, ${formatBytes(size)}`] as const),
    ["commit", result.commit],
    ["use", `--model hf:${name.replace(/^hf:/, "")}`],
  ]);
  if (result.undecided.length > 0) {
    printLine(`There are several of a kind, and none of them was fetched; fetch one by its name: ${result.undecided.join(", ")}`);
  }
}
