import { containsAnswer } from "../../metrics/contains-answer.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import { count, perCategory, share } from "../figures.js";
import type { Task } from "../task.js";
import { answersOf } from "./answers.js";

/** The first six together are text recognition. */
const RECOGNITION = [
  "Regular Text Recognition",
  "Irregular Text Recognition",
  "Artistic Text Recognition",
  "Handwriting Recognition",
  "Digit String Recognition",
  "Non-Semantic Text Recognition",
];
const TYPES = [...RECOGNITION, "Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction", "Handwritten Mathematical Expression Recognition"];
const LABELS = new Map(TYPES.map((type) => [type, type]));

/** OCRBench: an array of 1,000 records; their `id` is unique only within the data set that they were taken from. */
const FORMAT: DataFormat = {
  splits: { test: [["OCRBench.json"]] },
  defaultSplit: "test",
  item(record) {
    const question = record.filledText("question");
    return {
      id: String(record.position),
      question,
      prompt: question.trim(),
      answers: record.texts("answers", "answer"),
      category: record.text("type", "question_type"),
      extra: { dataset: record.text("dataset_name", "dataset") },
      picture: {
        column: record.picture("image") === undefined ? "image_path" : "image",
        name: record.picture("image") === undefined ? record.filledText("image_path") : undefined,
        folders: ["OCRBench_Images"],
      },
    };
  },
};

export const ocrbench: Task = {
  name: "ocrbench",
  title: "OCRBench",
  description: "1,000 questions of ten kinds about text in pictures; right where an answer stands in the prediction",
  defaults: { maxTokens: 128, threshold: 0.05, split: "test", items: 1000 },
  read: (data, options) => readItems(FORMAT, data, options),
  score: (item, prediction, options) => ({
    score: containsAnswer(prediction, answersOf(item), { formula: item.extra?.dataset === "HME100k", strict: options?.strict }) ? 1 : 0,
    parsed: true,
  }),
  aggregate: (scored) => ({
    main: share("accuracy", "accuracy", scored),
    categories: perCategory(scored, LABELS, count),
    more: [
      count("total", "OCRBench score (of 1000)", scored),
      count("recognition", "text recognition (of 300)", scored.filter(({ item }) => RECOGNITION.includes(item.category ?? ""))),
    ],
    unparsed: 0,
  }),
};
