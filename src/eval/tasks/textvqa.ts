import { vqaAccuracy } from "../../metrics/vqa-accuracy.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import { share } from "../figures.js";
import { capitalize, SINGLE_WORD_OR_PHRASE } from "../prompts.js";
import type { Task } from "../task.js";
import { answerList, answersOf } from "./answers.js";

/** TextVQA 0.5.1: an object with `data`; pictures are IMAGE_ID.jpg in train_images (of train and validation) or test_images. */
const FORMAT: DataFormat = {
  splits: { validation: [["TextVQA_0.5.1_val.json"]], test: [["TextVQA_0.5.1_test.json"]] },
  defaultSplit: "validation",
  item(record) {
    const question = record.filledText("question");
    const image = record.text("image_id");
    return {
      id: record.text("question_id"),
      question,
      prompt: capitalize(question) + SINGLE_WORD_OR_PHRASE,
      answers: record.optionalTexts("answers"),
      picture: { column: record.picture("image") === undefined ? "image_id" : "image", name: `${image}.jpg`, folders: ["train_images", "test_images"], key: image },
    };
  },
};

export const textvqa: Task = {
  name: "textvqa",
  title: "TextVQA",
  description: "Questions about text in photographs, 5,000 in the validation part of TextVQA 0.5.1; VQA accuracy over ten answers",
  defaults: { maxTokens: 1024, threshold: 0.15, split: "validation", items: 5000 },
  read: (data, options) => readItems(FORMAT, data, options),
  score: (item, prediction, options) => ({ score: vqaAccuracy(prediction, answersOf(item), options), parsed: true }),
  aggregate: (scored) => ({ main: share("accuracy", "VQA accuracy", scored), categories: [], more: [], unparsed: 0 }),
  submission: (predictions) => answerList("textvqa_submission.json", "question_id", predictions),
};
