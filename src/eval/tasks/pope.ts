import { basename } from "node:path";
import { yesOrNo } from "../../metrics/yes-or-no.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import type { DataRecord } from "../data/record.js";
import { countUnparsed, perCategory, share } from "../figures.js";
import { SINGLE_WORD_OR_PHRASE } from "../prompts.js";
import type { Figure, ScoredItem, ScoreOptions, Task } from "../task.js";
import { answersOf } from "./answers.js";

const CATEGORIES = ["random", "popular", "adversarial"];
const LABELS = new Map(CATEGORIES.map((category) => [category, category]));

/** POPE on COCO: three files with one object per line, though their names end with .json; pictures are COCO's val2014. */
const FORMAT: DataFormat = {
  splits: { test: CATEGORIES.map((category) => [`coco_pope_${category}.json`, `coco_pope_${category}.jsonl`]) },
  defaultSplit: "test",
  item(record) {
    const question = record.filledText("text", "question");
    const category = categoryOf(record);
    const answer = record.text("label", "answer").trim().toLowerCase();
    if (answer !== "yes" && answer !== "no") {
      record.fail(record.has("label") ? ["label"] : ["answer"], "yes or no");
    }
    const embedded = record.picture("image") !== undefined;
    return {
      // each file numbers its questions from 1
      id: `${category ?? basename(record.file)}-${record.text("question_id")}`,
      question,
      prompt: question.trim() + SINGLE_WORD_OR_PHRASE,
      answers: [answer],
      category,
      picture: { column: "image", name: embedded ? undefined : record.filledText("image"), folders: ["val2014"], key: record.optionalText("image_source") },
    };
  },
};

function categoryOf(record: DataRecord): string | undefined {
  return [record.optionalText("category"), basename(record.file)].flatMap((text) => CATEGORIES.filter((category) => text?.toLowerCase().includes(category)))[0];
}

/** Of the answers "yes": precision, recall, F1, and their share. */
function moreFigures(scored: readonly ScoredItem[], { strict = false }: ScoreOptions = {}): Figure[] {
  const says = (item: ScoredItem, word: string): boolean => item.reading === word;
  const asksYes = scored.filter(({ item }) => item.answers[0] === "yes");
  const truePositives = asksYes.filter((item) => says(item, "yes")).length;
  const positives = scored.filter((item) => says(item, "yes")).length;
  // as published, a yes-question answered with neither word does not count as a false negative
  const falseNegatives = asksYes.filter((item) => (strict ? !says(item, "yes") : says(item, "no"))).length;
  const precision = ratio(truePositives, positives);
  const recall = ratio(truePositives, truePositives + falseNegatives);
  return [
    figure("precision", "precision", precision),
    figure("recall", "recall", recall),
    figure("f1", "F1", ratio(2 * precision * recall, precision + recall)),
    figure("yes_share", "share of yes", ratio(positives, scored.length)),
  ];

  function figure(name: string, label: string, value: number): Figure {
    return { name, label, value: scored.length === 0 ? NaN : value, unit: "share", items: scored.length };
  }
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

export const pope: Task = {
  name: "pope",
  title: "POPE",
  description: "9,000 yes-or-no questions whether something is in a picture of COCO, asked for random, popular and adversarial things",
  defaults: { maxTokens: 128, threshold: 0.15, split: "test", items: 9000 },
  read: (data, options) => readItems(FORMAT, data, options),
  score(item, prediction, options) {
    const word = yesOrNo(prediction, options);
    return { score: answersOf(item).includes(word ?? "") ? 1 : 0, parsed: word !== null, reading: word ?? undefined };
  },
  aggregate: (scored, options) => ({
    main: share("accuracy", "accuracy", scored),
    categories: perCategory(scored, LABELS),
    more: moreFigures(scored, options),
    unparsed: countUnparsed(scored),
  }),
};
