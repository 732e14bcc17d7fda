import { basename } from "node:path";
import { relaxedAccuracy } from "../../metrics/relaxed-accuracy.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import type { DataRecord } from "../data/record.js";
import { perCategory, share } from "../figures.js";
import { SINGLE_WORD } from "../prompts.js";
import type { Task } from "../task.js";
import { answersOf } from "./answers.js";

const LABELS = new Map([
  ["human", "human"],
  ["augmented", "augmented"],
]);

/**
 * ChartQA: two arrays of `imgname`, `query` and `label`, of questions by people and by machine, with the pictures in png
 * beside them. Parquet exports have one table, with the half in `type` or `human_or_machine`.
 */
const FORMAT: DataFormat = {
  splits: {
    test: [["test_human.json"], ["test_augmented.json"]],
    validation: [["val_human.json"], ["val_augmented.json"]],
  },
  defaultSplit: "test",
  item(record) {
    const question = record.filledText("query", "question");
    const category = categoryOf(record);
    return {
      // the release has no numbers for its questions
      id: `${category ?? basename(record.file)}-${record.position}`,
      question,
      prompt: question + SINGLE_WORD,
      answers: record.texts("label", "answer"),
      category,
      picture: {
        column: record.picture("image") === undefined ? "imgname" : "image",
        name: record.picture("image") === undefined ? record.filledText("imgname", "image") : undefined,
        folders: ["png", "test/png", "val/png"],
      },
    };
  },
};

function categoryOf(record: DataRecord): "human" | "augmented" | undefined {
  const text = record.optionalText("type", "human_or_machine") ?? basename(record.file);
  return /human|^0$/i.test(text) ? "human" : /augmented|machine|^1$/i.test(text) ? "augmented" : undefined;
}

export const chartqa: Task = {
  name: "chartqa",
  title: "ChartQA",
  description: "Questions about charts, 2,500 in the test part of ChartQA, half of them by people and half by machine; relaxed accuracy",
  defaults: { maxTokens: 16, threshold: 0.15, split: "test", items: 2500 },
  read: (data, options) => readItems(FORMAT, data, options),
  score: (item, prediction, options) => ({ score: answersOf(item).some((answer) => relaxedAccuracy(prediction, answer, options)) ? 1 : 0, parsed: true }),
  aggregate: (scored) => ({ main: share("accuracy", "relaxed accuracy", scored), categories: perCategory(scored, LABELS), more: [], unparsed: 0 }),
};
