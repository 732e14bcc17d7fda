import { extname } from "node:path";
import { z } from "zod";
import { dataInvalid, SdRpnError } from "../../base/errors.js";
import { readTextFile } from "../../base/regular-file.js";
import { choiceLetter } from "../../metrics/choice-letter.js";
import type { Box } from "../../base/types.js";
import { type DataFormat, readItems } from "../data/read-items.js";
import { countUnparsed, perCategory, share } from "../figures.js";
import { choiceLines, LETTER_OF_CHOICES } from "../prompts.js";
import type { Choice, Task } from "../task.js";
import { answersOf } from "./answers.js";

const annotationSchema = z.object({ bbox: z.array(z.tuple([z.number(), z.number(), z.number(), z.number()])) });

const LABELS = new Map([
  ["direct_attributes", "attribute"],
  ["relative_position", "spatial"],
]);

/** V*Bench: one question per line, with the choices and the request for a letter in `text`. */
const FORMAT: DataFormat = {
  splits: { test: [["test_questions.jsonl"]] },
  defaultSplit: "test",
  item(record) {
    const text = record.filledText("text");
    const { question, choices } = splitChoices(text);
    const letter = record.text("label").trim().toUpperCase();
    if (!/^[A-D]$/.test(letter)) {
      record.fail(["label"], "a letter from A to D");
    }
    const category = record.text("category");
    const name = record.picture("image") === undefined ? record.filledText("image") : undefined;
    return {
      id: `${category}-${record.text("question_id")}`,
      question,
      prompt: choices.length === 0 ? question + LETTER_OF_CHOICES : `${question}\n${choiceLines(choices)}${LETTER_OF_CHOICES}`,
      answers: [letter],
      options: choices,
      category,
      picture: { column: "image", name },
    };
  },
  boxesBeside,
};

/** The release has a JSON file beside each picture; its `bbox` lists the objects asked about as [x, y, width, height]. */
async function boxesBeside(picturePath: string): Promise<Box[] | undefined> {
  const file = `${picturePath.slice(0, -extname(picturePath).length)}.json`;
  let text: string;
  try {
    text = await readTextFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined; // Parquet exports and bare pictures have none
    }
    throw new SdRpnError("IO_ERROR", `Cannot read the boxes of a picture, ${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return annotationSchema.parse(JSON.parse(text)).bbox.map(([x, y, width, height]) => ({ x, y, width, height }));
  } catch (error) {
    throw dataInvalid({ file, line: 1, column: 1 }, "Expected JSON with bbox, a list of [x, y, width, height]", error);
  }
}

/** Splits "Which? (A) red (B) blue" into question and choices, without the last line, which asks for a letter. */
function splitChoices(text: string): { question: string; choices: Choice[] } {
  const given = text.trimEnd();
  const asked = given.endsWith(LETTER_OF_CHOICES.trim()) ? given.slice(0, -LETTER_OF_CHOICES.trim().length) : given;
  const [question, ...parts] = asked.split(/\(([A-D])\)/);
  const choices = parts.flatMap((letter, index) => (index % 2 === 0 ? [{ letter, text: parts[index + 1].trim() }] : []));
  return { question: question.trim(), choices };
}

export const vstar: Task = {
  name: "vstar",
  title: "V*",
  description: "191 questions about small things in large photographs, with choices; accuracy of the letter",
  defaults: { maxTokens: 16, threshold: 0.1, split: "test", items: 191 },
  read: (data, options) => readItems(FORMAT, data, options),
  score(item, prediction, options) {
    const letter = choiceLetter(prediction, options);
    return { score: answersOf(item).includes(letter ?? "") ? 1 : 0, parsed: letter !== null, reading: letter ?? undefined };
  },
  aggregate: (scored) => ({
    main: share("accuracy", "accuracy", scored),
    categories: perCategory(scored, LABELS),
    more: [],
    unparsed: countUnparsed(scored),
  }),
};
