import { Command } from "commander";
import { writeRegularFile } from "../base/regular-file.js";
import { choiceDocument, heads, type HeadRanking, headsDocument, type HeadsOptions, headsSchema } from "../distill/heads.js";
import { checkOutput, withIoError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel, withoutNetwork } from "./model.js";
import { numberParser } from "./parse.js";
import { printJson, printLine, printTable } from "./print.js";
import { Progress } from "./progress.js";

type Options = Omit<ModelOptions, "rpn"> & Omit<HeadsOptions, "onProgress" | "signal"> & { data: string; out?: string; json?: true };

const WAY = `
Neither answers nor boxes are looked at: a head is good where it looks at places that, looked at again, make the model
sure of its answer. The data should ask about small details. LLaVA-1.5 7B and 13B need no ranking:`;

const NOTES = `${WAY}
sd-rpn distill label --preset llava-1.5-7b.

Example:
  sd-rpn distill heads --model llava.gguf --mmproj mmproj.gguf --data calib.jsonl --out heads.json`;

const CHOICE_NOTES = `${WAY}
--heads llava-1.5-7b.

Example:
  sd-rpn heads --model llava.gguf --mmproj mmproj.gguf --data calib.jsonl --out heads.json
  sd-rpn roi receipt.jpg "What is the total?" --model llava.gguf --mmproj mmproj.gguf --heads heads.json`;

/** `sd-rpn heads`: the choice alone, for regions without a network. */
export function headsCommand(signal: AbortSignal): Command {
  const command = new Command("heads").description("choose the attention heads of a model that point at what is asked for: regions without a trained network");
  return addHeadsOptions(command, "write the choice to this file, for --heads of answer and roi and for heads of loadModel")
    .addHelpText("after", CHOICE_NOTES)
    .action((options: Options) => rank(options, choiceDocument, signal));
}

/** `sd-rpn distill heads`: the ranking of all heads too. */
export function distillHeadsCommand(signal: AbortSignal): Command {
  const command = new Command("heads").description("rank the attention heads of a model by how well they point at what is asked for");
  return addHeadsOptions(command, "write ranking and choice to this file, for distill label --heads")
    .addHelpText("after", NOTES)
    .action((options: Options) => rank(options, headsDocument, signal));
}

function addHeadsOptions(command: Command, out: string): Command {
  const { pairs, count, lattice, window, uncertainty, maxTokens } = headsSchema.shape;
  command
    .requiredOption("--data <file>", "question file, JSONL with image and question")
    .option("--images <dir>", "folder that pictures are relative to (default: the question file's)")
    .option("--out <file>", out)
    .option("--pairs <n>", "useful pairs to gather (default: 24)", numberParser(pairs, "--pairs"))
    .option("--count <n>", "grounding heads to choose, at most (default: 3)", numberParser(count, "--count"))
    .option("--lattice <n>", "probes per side of the view (default: half the grid)", numberParser(lattice, "--lattice"))
    .option("--window <share>", "side of a probe, as a share of the view (default: 0.25)", numberParser(window, "--window"))
    .option("--uncertainty <nats>", "pairs whose answer is surer than this are skipped (default: 0.1)", numberParser(uncertainty, "--uncertainty"))
    .option("--max-tokens <n>", "of every answer (default: 32)", numberParser(maxTokens, "--max-tokens"))
    .option("--json", "print one JSON document");
  return addModelOptions(command, false);
}

/** @param document what of the ranking is written */
async function rank(options: Options, document: (ranking: HeadRanking) => object, signal: AbortSignal): Promise<void> {
  const { data, out, json, images, pairs, count, lattice, window, uncertainty, maxTokens, ...model } = options;
  await checkOutput("write the heads file", out);
  await withModel({ ...model, rpn: withoutNetwork(model.model) }, signal, async (loaded) => {
    const progress = new Progress("ranking", "pairs");
    const onProgress: HeadsOptions["onProgress"] = ({ used, wanted }) => progress.count(used, wanted);
    const asked = { images, pairs, count, lattice, window, uncertainty, maxTokens, onProgress, signal };
    const ranking = await heads(loaded, data, asked).finally(() => progress.stop());
    if (out !== undefined) {
      await withIoError("write the heads file", () => writeRegularFile(out, `${JSON.stringify(document(ranking), null, 1)}\n`));
    }
    json ? printJson(document(ranking)) : print(ranking, out);
  });
}

function print({ heads: ranked, chosen, used, passed, failed }: HeadRanking, out: string | undefined): void {
  printLine("layer  head  grounding    sink");
  for (const { layer, head, grounding, sink } of ranked.slice(0, 12)) {
    printLine(`${String(layer).padStart(5)} ${String(head).padStart(5)} ${grounding.toFixed(3).padStart(10)} ${sink.toFixed(3).padStart(7)}`);
  }
  const list = (pairs: readonly (readonly number[])[]): string => pairs.map(([layer, head]) => `(${layer}, ${head})`).join(" ") || "none";
  printLine();
  printTable([
    ["pairs", `${used} of use, ${passed} that the model is sure of, ${failed.length} failed`],
    ...failed.slice(0, 5).map(({ id, code, message }) => ["failed", `${id}: ${code}: ${message}`] as const),
    ["grounding", list(chosen.grounding)],
    ["sink", list(chosen.sink)],
    ...(out === undefined ? [] : [["wrote", out] as const]),
  ]);
}
