import { accessSync, constants } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { demoModel } from "../model/demo-model.js";
import type { Model, ModelInfo } from "../model/model.js";
import type { Answer } from "../base/types.js";
import { type DemoQuestion, readDemoQuestions, takeTurns } from "./demo-questions.js";
import { withIoError } from "./exit.js";
import { withModel } from "./model.js";
import { writeOverlay } from "../batch/overlay-file.js";
import { numberParser } from "./parse.js";
import { formatMs, PHASES, printLine, styled } from "./print.js";

const DEFAULT_LIMIT = 10;

const CAVEAT = `
Three heads of the demo model were taught in training to look at the asked text. So these figures show
that the pipeline works end to end, not how good a teacher a large model's own attention is.`;

interface Options {
  out: string;
  limit: number;
}

/** One question asked twice. */
interface Trial {
  question: DemoQuestion;
  plain: Answer;
  looked: Answer;
}

export function demoCommand(signal: AbortSignal): Command {
  return new Command("demo")
    .description("ask the demo model about its pictures, without and with the region proposal network")
    .option("--out <dir>", "folder for the pictures with heat map and boxes", defaultOut())
    .option("--limit <n>", "how many questions to ask", numberParser(z.int().min(1), "--limit"), DEFAULT_LIMIT)
    .action((options: Options) => demo(options, signal));
}

async function demo({ out, limit }: Options, signal: AbortSignal): Promise<void> {
  const questions = takeTurns(await readDemoQuestions(), limit);
  await withIoError("make the folder for overlays", () => mkdir(out, { recursive: true }));
  const run = async (model: Model): Promise<void> => {
    printLine(`${styled("bold", "sd-rpn demo")}: ${introduction(model.info)}`);
    const trials: Trial[] = [];
    for (const [index, question] of questions.entries()) {
      const plain = await model.answer(question.image, question.question, { roi: "never", signal });
      const looked = await model.answer(question.image, question.question, { roi: "auto", signal });
      const trial = { question, plain, looked };
      const overlay = join(out, `${question.id}.png`);
      if (looked.roi) {
        await writeOverlay(model, question.image, looked.roi, overlay);
      }
      printTrial(trial, `${index + 1}/${questions.length}`, overlay);
      trials.push(trial);
    }
    printSummary(trials);
  };
  // Nothing is kept between calls, so that each line shows what a first question about a picture costs.
  await withModel({}, signal, run, { sessionCacheBytes: 0 });
}

function introduction({ name, view, backend, device, threads }: ModelInfo): string {
  return `${name} sees ${view.width} x ${view.height} px; ${backend} (${device}), ${threads === 1 ? "1 thread" : `${threads} threads`}`;
}

function printTrial({ question, plain, looked }: Trial, number: string, overlay: string): void {
  printLine();
  printLine(`${styled("bold", `${number}  ${question.question}`)}  ${styled("dim", `${basename(question.image)}, ${question.kind}`)}`);
  printLine(`  ${"truth".padEnd(14)}${question.answer.padEnd(18)}${styled("dim", PHASES.map((phase) => phase.padStart(9)).join(""))}`);
  for (const [label, answer] of [["without RPN", plain], ["with RPN", looked]] as const) {
    const right = isRight(answer, question);
    const mark = styled(right ? "green" : "red", (right ? "ok" : "wrong").padEnd(7));
    const times = PHASES.map((phase) => (answer.timings[phase] < 0.05 ? "-" : formatMs(answer.timings[phase])).padStart(9)).join("");
    printLine(`  ${label.padEnd(14)}${answer.text.trim().padEnd(11)}${mark}${times} ms`);
  }
  printLine(`  ${"overlay".padEnd(14)}${looked.roi ? shortPath(overlay) : "none"}${looked.usedRoI ? "" : " (no region found: the plain answer)"}`);
}

function printSummary(trials: readonly Trial[]): void {
  const isCoarse = ({ question }: Trial): boolean => question.kind === "coarse";
  printLine();
  printScore("Right", trials);
  printScore("  small print", trials.filter((trial) => !isCoarse(trial)));
  printScore("  coarse", trials.filter(isCoarse));
  printLine(styled("dim", CAVEAT));
}

function printScore(label: string, trials: readonly Trial[]): void {
  if (trials.length === 0) {
    return;
  }
  const plain = trials.filter((trial) => isRight(trial.plain, trial.question)).length;
  const looked = trials.filter((trial) => isRight(trial.looked, trial.question)).length;
  const text = `${label.padEnd(14)}${plain} of ${trials.length} without the RPN, ${looked} of ${trials.length} with it`;
  printLine(label.startsWith(" ") ? text : styled("bold", text));
}

function isRight(answer: Answer, { answer: truth }: DemoQuestion): boolean {
  return answer.text.trim() === truth;
}

function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

/** demo/out in a clone; in the working folder where the package is installed or may not be written to. */
function defaultOut(): string {
  const folder = dirname(demoModel().model);
  if (!folder.split(sep).includes("node_modules") && isWritable(folder)) {
    return join(folder, "out");
  }
  return resolve("sd-rpn-demo");
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
