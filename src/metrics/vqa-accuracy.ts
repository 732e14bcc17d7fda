import { checkAnswers, checkText } from "./check.js";
import type { MetricOptions } from "./options.js";
import { ARTICLES, CONTRACTIONS, NUMBER_WORDS } from "./vqa-words.js";

const PUNCTUATION = [..."\";/[]{}()=+\\_-><@`,?!:"];
const MAX_PERIODS = 32;

/**
 * VQA accuracy of one prediction (TextVQA, VQAv2), 0..1: the mean over the answers of min(1, m / 3), where m of the
 * other answers equal the prediction after both are normalised.
 *
 * As in lmms-eval's EvalAI processing, which has oddities: at most 32 full stops are removed, each where no digit
 * follows; punctuation is deleted where it touches a space anywhere in the text, and becomes a space otherwise. Meant
 * for ten answers; a single answer is never matched by another, so it scores 0. `strict` removes every such full stop.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function vqaAccuracy(prediction: string, answers: readonly string[], { strict = false }: MetricOptions = {}): number {
  checkText(prediction, "prediction");
  checkAnswers(answers);
  const periods = strict ? Infinity : MAX_PERIODS;
  const predicted = normalised(prediction, periods);
  const matches = answers.map((answer) => normalised(answer, periods) === predicted);
  const total = matches.filter(Boolean).length;
  const scores = matches.map((match) => Math.min(1, (match ? total - 1 : total) / 3));
  return scores.reduce((a, b) => a + b) / scores.length;
}

function normalised(text: string, periods: number): string {
  const tokenised = text.toLowerCase().replace(/[,?]/g, "").replaceAll("'s", " 's").trim();
  return withStandardWords(withoutPunctuation(tokenised.replace(/[\n\t]/g, " ").trim(), periods));
}

function withoutPunctuation(text: string, maxPeriods: number): string {
  let result = text;
  for (const mark of PUNCTUATION) {
    const touchesSpace = text.includes(`${mark} `) || text.includes(` ${mark}`);
    result = result.replaceAll(mark, touchesSpace ? "" : " ");
  }
  let periods = 0;
  return result.replace(/\.(?!\p{Nd})/gu, (period) => (periods++ < maxPeriods ? "" : period));
}

function withStandardWords(text: string): string {
  return text
    .split(/\s+/)
    .map((word) => NUMBER_WORDS.get(word) ?? word)
    .filter((word) => word !== "" && !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(" ");
}
