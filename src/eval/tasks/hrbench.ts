import { choiceOfOptions } from "../../metrics/choice-of-options.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import { countUnparsed, groupBy, mean, perCategory } from "../figures.js";
import { choiceLines, LETTER_DIRECTLY } from "../prompts.js";
import type { Figure, ScoredItem, Task, TaskName } from "../task.js";
import { answersOf } from "./answers.js";

const LABELS = new Map([
  ["single", "FSP"],
  ["cross", "FCP"],
]);
const LETTERS = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];

/** HR-Bench: one row per question with its choices in columns A to D and the picture in base64; each question occurs with its choices in four orders. */
function format(...files: string[]): DataFormat {
  return {
    splits: { test: [files] },
    defaultSplit: "test",
    base64: ["image"],
    item(record) {
      const question = record.filledText("question");
      const options = LETTERS.flatMap((letter) => (record.has(letter) ? [{ letter, text: record.text(letter) }] : []));
      const answer = record.text("answer").trim().toUpperCase();
      if (!options.some(({ letter }) => letter === answer)) {
        record.fail(["answer"], `the letter of one of the choices ${options.map(({ letter }) => letter).join(", ")}`);
      }
      return {
        id: record.text("index"),
        question,
        prompt: `${question.trim()}\n${choiceLines(options)}\n${LETTER_DIRECTLY}`,
        answers: [answer],
        options,
        category: record.text("category"),
        extra: { cycle: record.text("cycle_category") },
        picture: { column: "image", name: undefined },
      };
    },
  };
}

/** The mean of the accuracies in each order of the choices. */
function meanOverCycles(name: string, label: string, scored: readonly ScoredItem[]): Figure {
  const cycles = [...groupBy(scored, ({ item }) => item.extra?.cycle).values()];
  return { name, label, value: mean(cycles.map((members) => mean(members.map(({ score }) => score)))), unit: "share", items: scored.length };
}

function hrbench(name: TaskName, title: string, pixels: string, ...files: string[]): Task {
  const data = format(...files);
  return {
    name,
    title,
    description: `800 questions about details of ${pixels} photographs, with choices in four orders; accuracy of the letter for single things (FSP) and across things (FCP)`,
    defaults: { maxTokens: 1024, threshold: 0.1, split: "test", items: 800 },
    read: (path, options) => readItems(data, path, options),
    score(item, prediction) {
      const letter = choiceOfOptions(prediction, new Map((item.options ?? []).map((choice) => [choice.letter, choice.text])));
      return { score: answersOf(item).includes(letter ?? "") ? 1 : 0, parsed: letter !== null, reading: letter ?? undefined };
    },
    aggregate: (scored) => ({
      main: meanOverCycles("average", "accuracy", scored),
      categories: perCategory(scored, LABELS, meanOverCycles),
      more: [],
      unparsed: countUnparsed(scored),
    }),
  };
}

export const hrbench4k = hrbench("hrbench4k", "HR-Bench 4K", "4K", "hr_bench_4k.tsv", "HRBench4K.tsv", "hr_bench_4k.parquet");
export const hrbench8k = hrbench("hrbench8k", "HR-Bench 8K", "8K", "hr_bench_8k.tsv", "HRBench8K.tsv", "hr_bench_8k.parquet");
