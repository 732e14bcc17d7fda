import { anls } from "../../metrics/anls.js";
import { type DataFormat, type PictureDraft, readItems } from "../data/read-items.js";
import type { DataRecord } from "../data/record.js";
import { share } from "../figures.js";
import { SINGLE_WORD_OR_PHRASE } from "../prompts.js";
import type { EvalItem, ScoredItem, Task } from "../task.js";
import { answerList, answersOf } from "./answers.js";

function format(splits: DataFormat["splits"], picture: (record: DataRecord) => PictureDraft): DataFormat {
  return {
    splits,
    defaultSplit: "validation",
    item(record) {
      const question = record.filledText("question");
      return {
        id: record.text("questionId"),
        question,
        prompt: question + SINGLE_WORD_OR_PHRASE,
        answers: record.optionalTexts("answers"),
        picture: picture(record),
      };
    },
  };
}

/** Single-page DocVQA 1.0: an object with `data`; `image` is documents/NAME.png. */
const DOCVQA = format(
  { validation: [["val_v1.0_withQT.json", "val_v1.0.json"]], test: [["test_v1.0.json"]] },
  (record) => ({
    column: "image",
    name: record.picture("image") === undefined ? record.filledText("image") : undefined,
    folders: [".", "spdocvqa_images", "documents"],
    key: record.has("ucsf_document_id") ? `${record.text("ucsf_document_id")}_${record.optionalText("ucsf_document_page_no") ?? ""}` : undefined,
  }),
);

/** InfographicVQA 1.0: an object with `data`; `image_local_name` is NAME.jpeg. */
const INFOVQA = format(
  { validation: [["infographicsVQA_val_v1.0_withQT.json", "infographicsVQA_val_v1.0.json"]], test: [["infographicsVQA_test_v1.0.json"]] },
  (record) => ({
    column: record.picture("image") === undefined ? "image_local_name" : "image",
    name: record.picture("image") === undefined ? record.filledText("image_local_name", "image") : undefined,
    folders: [".", "infographicsvqa_images", "infographicVQA_images", "images"],
    key: record.optionalText("image_local_name", "image_url"),
  }),
);

const score: Task["score"] = (item: EvalItem, prediction, options) => ({ score: anls(prediction, answersOf(item), options), parsed: true });
const aggregate: Task["aggregate"] = (scored: readonly ScoredItem[]) => ({ main: share("anls", "ANLS", scored), categories: [], more: [], unparsed: 0 });

export const docvqa: Task = {
  name: "docvqa",
  title: "DocVQA",
  description: "Questions about scanned pages, 5,349 in the validation part of Single-page DocVQA 1.0; ANLS",
  defaults: { maxTokens: 32, threshold: 0.1, split: "validation", items: 5349 },
  read: (data, options) => readItems(DOCVQA, data, options),
  score,
  aggregate,
  submission: (predictions) => answerList("docvqa_submission.json", "questionId", predictions),
};

export const infovqa: Task = {
  name: "infovqa",
  title: "InfographicVQA",
  description: "Questions about infographics, 2,801 in the validation part of InfographicVQA 1.0; ANLS",
  defaults: { maxTokens: 32, threshold: 0.15, split: "validation", items: 2801 },
  read: (data, options) => readItems(INFOVQA, data, options),
  score,
  aggregate,
  submission: (predictions) => answerList("infovqa_submission.json", "questionId", predictions),
};
