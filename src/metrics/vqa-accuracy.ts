import { checkAnswers, checkText } from "./check.js";
import type { MetricOptions } from "./options.js";
import { ARTICLES, CONTRACTIONS, NUMBER_WORDS } from "./vqa-words.js";

const PUNCTUATION = [..."\";/[]{}()=+\\_-><@`,?!:"];
const PERIOD = /\.(?!\p{Nd})/gu;
const MAX_PERIODS = 32;

/**
 * VQA accuracy of one prediction (TextVQA, VQAv2), 0..1: the mean over the answers of min(1, m / 3), where m of the
 * other answers equal the prediction after both are normalised.
 *
 * As in lmms-eval's EvalAI processing, which has oddities: at most 32 full stops are removed, each where no digit
 * follows; punctuation is deleted where it touches a space anywhere in the text, and becomes a space otherwise; commas
 * and question marks are always deleted. Meant for ten answers; a single answer is never matched by another, so it
 * scores 0. `strict` keeps to the definition: every such full stop is removed, a comma between digits is, and any other
 * punctuation is a space.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function vqaAccuracy(prediction: string, answers: readonly string[], { strict = false }: MetricOptions = {}): number {
  checkText(prediction, "prediction");
  checkAnswers(answers);
  const normalised = strict ? defined : published;
  const predicted = normalised(prediction);
  const matches = answers.map((answer) => normalised(answer) === predicted);
  const total = matches.filter(Boolean).length;
  const scores = matches.map((match) => Math.min(1, (match ? total - 1 : total) / 3));
  return scores.reduce((a, b) => a + b) / scores.length;
}

/** By the definition of the VQA challenge. */
function defined(text: string): string {
  const marks = text.toLowerCase().replaceAll("'s", " 's").replace(/(?<=\p{Nd}),(?=\p{Nd})/gu, "");
  const spaced = Array.from(marks, (character) => (PUNCTUATION.includes(character) ? " " : character)).join("");
  return withStandardWords(spaced.replace(PERIOD, ""));
}

function published(text: string): string {
  const tokenised = text.toLowerCase().replace(/[,?]/g, "").replaceAll("'s", " 's").trim();
  return withStandardWords(withoutPunctuation(tokenised.replace(/[\n\t]/g, " ").trim()));
}

function withoutPunctuation(text: string): string {
  let result = text;
  for (const mark of PUNCTUATION) {
    const touchesSpace = text.includes(`${mark} `) || text.includes(` ${mark}`);
    result = result.replaceAll(mark, touchesSpace ? "" : " ");
  }
  let periods = 0;
  return result.replace(PERIOD, (period) => (periods++ < MAX_PERIODS ? "" : period));
}

function withStandardWords(text: string): string {
  return text
    .split(/\s+/)
    .map((word) => NUMBER_WORDS.get(word) ?? word)
    .filter((word) => word !== "" && !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(" ");
}
