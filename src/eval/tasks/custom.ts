import { choiceLetter } from "../../metrics/choice-letter.js";
import { choiceOfOptions } from "../../metrics/choice-of-options.js";
import type { Box } from "../../base/types.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import type { DataRecord } from "../data/record.js";
import { countUnparsed, perCategory, share } from "../figures.js";
import { choiceLines, LETTER_OF_CHOICES, lettered } from "../prompts.js";
import type { Choice, EvalItem, Task } from "../task.js";
import { answersOf } from "./answers.js";

/**
 * Custom data: JSONL (or JSON, TSV, Parquet) of `image`, `question` and `answer` or `answers`; `id`, `options`, `box` or
 * `boxes`, and `category` or `kind` are optional. `options` are texts, or an object of letters and texts; the answer
 * is then a letter or one of the texts. Boxes are [x0, y0, x1, y1] in pixels of the picture.
 */
const FORMAT: DataFormat = {
  splits: {},
  defaultSplit: null,
  item(record) {
    const question = record.filledText("question");
    const options = optionsOf(record);
    const name = record.picture("image") === undefined ? record.filledText("image") : undefined;
    return {
      id: record.optionalText("id") ?? String(record.position + 1),
      question,
      prompt: options ? `${question}\n${choiceLines(options)}${LETTER_OF_CHOICES}` : question,
      answers: record.has("answer", "answers") ? answersIn(record, options) : [],
      options,
      category: record.optionalText("category", "kind"),
      boxes: boxesOf(record),
      picture: { column: "image", name },
    };
  },
};

const LETTER = /^[A-Z]$/;

function optionsOf(record: DataRecord): Choice[] | undefined {
  const value = record.raw("options");
  if (value === undefined) {
    return undefined;
  }
  const given = typeof value === "object" && !Array.isArray(value) ? Object.entries(value as object).map(([letter, text]) => ({ letter, text: text as unknown })) : undefined;
  const choices = given ?? (Array.isArray(value) ? lettered(value as string[]) : []);
  if (choices.length < 2 || !choices.every(({ letter, text }) => LETTER.test(letter) && typeof text === "string")) {
    record.fail(["options"], "a list of 2 to 26 texts, or an object of letters and texts,");
  }
  return choices as Choice[];
}

/** For questions with options the letters, whether the data has letters or texts. */
function answersIn(record: DataRecord, options: readonly Choice[] | undefined): string[] {
  const names = record.has("answers") ? ["answers"] : ["answer"];
  return record.texts(...names).map((answer) => {
    const chosen = options?.find(({ letter }) => letter === answer) ?? options?.find(({ text }) => text === answer);
    return options ? (chosen?.letter ?? record.fail(names, "a letter or a text of the options")) : answer;
  });
}

function boxesOf(record: DataRecord): Box[] | undefined {
  const name = record.has("boxes") ? "boxes" : "box";
  const value = record.raw(name);
  if (value === undefined) {
    return undefined;
  }
  const list = name === "box" ? [value] : value;
  if (!Array.isArray(list) || !list.every(isBox)) {
    record.fail([name], name === "box" ? "a box [x0, y0, x1, y1] with x0 < x1 and y0 < y1" : "a list of boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1");
  }
  return (list as number[][]).map(([x0, y0, x1, y1]) => ({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
}

function isBox(value: unknown): boolean {
  return Array.isArray(value) && value.length === 4 && value.every(Number.isFinite) && value[0] < value[2] && value[1] < value[3];
}

/** Case, spaces around and in a row, and a full stop at the end do not count. */
function normalised(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/\s+/g, " ")
    .replace(/ ?\.$/, "");
}

/** V*'s rules if the options are among its letters A to D, else HR-Bench's. */
function letterOf({ options = [] }: EvalItem, prediction: string, strict: boolean | undefined): string | null {
  return options.every(({ letter }) => letter <= "D") ? choiceLetter(prediction, { strict }) : choiceOfOptions(prediction, new Map(options.map(({ letter, text }) => [letter, text])), { strict });
}

export const custom: Task = {
  name: "custom",
  title: "custom",
  description: "Your own questions: JSONL of image, question and answers, with options and boxes if there are any; exact match, or accuracy of the letter",
  defaults: { maxTokens: 128, threshold: null, split: null, items: null },
  read: (data, options) => readItems(FORMAT, data, options),
  score(item, prediction, options) {
    const answers = answersOf(item);
    if (item.options) {
      const letter = letterOf(item, prediction, options?.strict);
      return { score: answers.includes(letter ?? "") ? 1 : 0, parsed: letter !== null, reading: letter ?? undefined };
    }
    const text = normalised(prediction);
    return { score: answers.some((answer) => normalised(answer) === text) ? 1 : 0, parsed: true };
  },
  aggregate: (scored) => ({
    main: share("accuracy", "accuracy", scored),
    categories: perCategory(scored, new Map()),
    more: [],
    unparsed: countUnparsed(scored),
  }),
};
