import { basename } from "node:path";
import { Argument, Command, Option } from "commander";
import { parseShard } from "../data/shard.js";
import { evaluate } from "../eval/evaluate.js";
import { type EvalProgress, type EvaluateOptions, evaluateSchema, METHOD_NAMES, type MethodName, SWEEP_THRESHOLDS } from "../eval/options.js";
import { PRESET_NAMES, type PresetName } from "../eval/presets.js";
import { TASK_NAMES, type TaskName } from "../eval/task.js";
import { predictSchema } from "../answer/options.js";
import { evalMergeCommand } from "./eval-merge.js";
import { printEvalReport } from "./eval-print.js";
import { UsageError } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { numberParser, parseGate, parseImageTokens } from "./parse.js";
import { Progress } from "./progress.js";

interface Options extends ModelOptions {
  data?: string;
  images?: string;
  out?: string;
  methods?: MethodName[];
  boxes: { name: string; file: string }[];
  heads?: string;
  vicropLayer?: number;
  vicropSize?: number;
  vicropSuffix?: string;
  preset?: PresetName;
  threshold?: number | "best";
  gate?: EvaluateOptions["gate"];
  imageTokens?: { min: number; max: number };
  sweep?: true | number[];
  dev?: { share: number } | { data: string };
  devImages?: string;
  split?: string;
  limit?: number;
  maxTokens?: number;
  strict?: true;
  skipMissing?: true;
  shard?: string;
  seed?: number;
  examples?: number;
  json?: true;
}

const NOTES = `
Methods, any number in one run: none (one view), rpn (the region proposal network), attention (the same maps without
training), vicrop (relative attention, arXiv 2502.17422), oracle (the boxes of the data); --boxes adds regions of other systems.
An interrupted run is resumed by calling it again with the same options. Its folder holds predictions.jsonl,
report.md, report.json and report.html, and apart from them what depends on the machine: speed.md, timings.jsonl, machine.json.

Examples:
  sd-rpn eval textvqa --data TextVQA_0.5.1_val.json --images train_images --model llava.gguf --mmproj mmproj.gguf --rpn rpn.gguf
  sd-rpn eval custom --data questions.jsonl --methods none,rpn,attention,vicrop --out runs/mine
  sd-rpn eval vstar --data test_questions.jsonl --sweep --dev 0.2 --threshold best ...
  sd-rpn eval vstar --data test_questions.jsonl --preset qzoom-qwen3 --context-size 10240 --model model.gguf ...
  sd-rpn eval docvqa --shard 1/4 --out part1 ...   and then   sd-rpn eval merge part1 part2 part3 part4 --out whole`;

export function evalCommand(signal: AbortSignal): Command {
  const { limit, maxTokens, seed, examples, vicrop } = evaluateSchema.shape;
  const { layer, inputSize } = vicrop.unwrap().shape;
  const command = new Command("eval")
    .description("run a published benchmark, or your own questions, and compare methods on it")
    .addArgument(new Argument("<task>", "the benchmark").choices([...TASK_NAMES]))
    .option("--data <path>", "the release file, or folder, as its publishers give it; JSONL for custom (required)")
    .option("--images <dir>", "folder of the pictures (default: the data file's own)")
    .option("--out <dir>", "folder of the run (default: eval-TASK)")
    .option("--methods <list>", `comma-separated: ${METHOD_NAMES.join(", ")} (default: none,rpn)`, parseMethods)
    .option("--boxes <[name=]file>", "regions of another system, a method of its own; JSONL of id and boxes [[x0,y0,x1,y1],...]; may be repeated", collectBoxes, [])
    .option("--heads <name|file>", "heads of the attention method: a preset, or a file of `sd-rpn heads` (default: the preset of the model's shape)")
    .option("--vicrop-layer <n>", "layer whose attention vicrop reads, from 0 (default: at 14/32 of the depth)", numberParser(layer, "--vicrop-layer"))
    .option("--vicrop-size <px>", "smallest window of vicrop in pixels of the picture (default: the model's input size)", numberParser(inputSize, "--vicrop-size"))
    .option("--vicrop-suffix <text>", "ending of both prompts of vicrop (default: the authors' request for a single word or phrase)")
    .addOption(new Option("--preset <name>", "threshold, gate and token budget of a published evaluation of Qwen-VL models; the three options below win over it").choices([...PRESET_NAMES]))
    .option("--threshold <t|best>", "of the network, -1 to 1, or the best of the sweep (default: the preset's, or the task's published one)", parseThreshold)
    .option("--gate <score>", "networks with a gate: the least score with which the network is asked, auto (the RPN file's) or off (default: the preset's, or auto)", parseGate)
    .option("--image-tokens <n|min-max>", "tokens of a view, for models whose views differ in size (default: the preset's, or the RPN file's)", parseImageTokens)
    .option("--sweep [list]", `accuracy against threshold on the development part (default: ${SWEEP_THRESHOLDS.join(",")})`, parseSweep)
    .option("--dev <share|file>", "the development part, which is never reported: a share of the pictures, 0 to 1, or another data file", parseDev)
    .option("--dev-images <dir>", "folder of that file's pictures (default: as --images)")
    .option("--split <name>", "which part, where the data has several (default: the one that the papers report)")
    .option("--limit <n>", "the first n items only", numberParser(limit, "--limit"))
    .option("--max-tokens <n>", "longest answer (default: the task's)", numberParser(maxTokens, "--max-tokens"))
    .option("--strict", "correct the known flaws of the published scoring")
    .option("--skip-missing", "count items whose picture is missing or broken instead of stopping")
    .option("--shard <i/n>", "the i-th of n parts, each a process of its own; join them with `sd-rpn eval merge`", checkShard)
    .option("--seed <n>", "of the bootstrap (default: 0)", numberParser(seed, "--seed"))
    .option("--examples <n>", "how many items won and lost report.html shows (default: 40)", numberParser(examples, "--examples"))
    .addOption(new Option("--json", "print report.json instead of the tables"))
    .enablePositionalOptions()
    .addHelpText("after", NOTES)
    .action((task: TaskName, options: Options) => run(task, options, signal));
  addModelOptions(command);
  command.addCommand(evalMergeCommand(signal));
  return command;
}

async function run(task: TaskName, options: Options, signal: AbortSignal): Promise<void> {
  const { data, images, methods, boxes, heads, preset, threshold, gate, imageTokens, sweep, split, limit, maxTokens, strict, skipMissing, shard, seed, examples, json } = options;
  const development = developmentOf(options);
  if (data === undefined) {
    throw new UsageError("required option '--data <path>' not specified"); // commander would ask for it before "eval merge" too
  }
  if (sweep !== undefined && development === undefined) {
    throw new UsageError("Expected --dev with --sweep: a threshold chosen on the part that is reported would be fitted to it");
  }
  if (threshold === "best" && sweep === undefined) {
    throw new UsageError("Expected --sweep with --threshold best");
  }
  const out = options.out ?? `eval-${task}`;
  await withModel(
    options,
    signal,
    async (model) => {
      const progress = new Progress(task, "answers");
      const onProgress = ({ phase, done, total, accuracy }: EvalProgress): void => {
        if (phase !== "report") {
          const scores = Object.entries(accuracy).map(([name, value]) => `${name} ${(100 * value).toFixed(1)}`);
          progress.count(done, total, phase === "sweep" ? `sweep | ${scores.slice(-1).join("")}` : scores.join(" "));
        }
      };
      const asked: EvaluateOptions = { task, data, out, images, methods, boxes, heads, preset, threshold, gate, imageTokens, sweep, split, limit, maxTokens, strict, skipMissing, shard, seed, examples, development };
      const vicrop = { layer: options.vicropLayer, inputSize: options.vicropSize, suffix: options.vicropSuffix };
      const report = await evaluate(model, { ...asked, vicrop, onProgress, signal }).finally(() => progress.stop());
      await printEvalReport(report, out, json === true);
    },
    { sessionCacheBytes: 0 },
  );
}

function developmentOf({ dev, devImages }: Options): EvaluateOptions["development"] {
  if (devImages !== undefined && !(dev && "data" in dev)) {
    throw new UsageError("Expected --dev with a data file for --dev-images");
  }
  return dev && "data" in dev ? { ...dev, images: devImages } : dev;
}

function parseMethods(text: string): MethodName[] {
  return text.split(",").map((part) => {
    const name = part.trim();
    if (!(METHOD_NAMES as readonly string[]).includes(name)) {
      const hint = name === "boxes" ? "; --boxes FILE adds regions of other systems" : "";
      throw new UsageError(`Expected a comma-separated list of ${METHOD_NAMES.join(", ")} for --methods but received ${name || "an empty name"}${hint}`);
    }
    return name as MethodName;
  });
}

/** `FILE` is the method `boxes`, or is named after the file if that name is taken; `NAME=FILE` gives the name. */
function collectBoxes(text: string, previous: { name: string; file: string }[]): { name: string; file: string }[] {
  const named = /^([\w.-]+)=(.+)$/.exec(text);
  const name = named?.[1] ?? (previous.length === 0 ? "boxes" : basename(text).replace(/\.jsonl$/, "").replaceAll(/[^\w.-]/g, "-"));
  return [...previous, { name, file: named?.[2] ?? text }];
}

function checkShard(text: string): string {
  try {
    parseShard(text);
    return text;
  } catch (error) {
    throw new UsageError((error as Error).message.replace("for shard", "for --shard"));
  }
}

function parseThreshold(text: string): number | "best" {
  return text === "best" ? text : numberParser(predictSchema.shape.threshold.unwrap(), "--threshold")(text);
}

function parseSweep(text: string): number[] {
  return text.split(",").map(numberParser(predictSchema.shape.threshold.unwrap(), "--sweep"));
}

function parseDev(text: string): { share: number } | { data: string } {
  const value = Number(text);
  if (Number.isNaN(value)) {
    return { data: text };
  }
  if (!(value > 0 && value < 1)) {
    throw new UsageError(`Expected a share between 0 and 1, or a data file, for --dev but received ${text || "an empty text"}`);
  }
  return { share: value };
}
