import { checkAnswers, checkText } from "./check.js";
import { levenshtein } from "../base/levenshtein.js";
import type { MetricOptions } from "./options.js";


/**
 * Average normalised Levenshtein similarity of one prediction (DocVQA, InfographicVQA), 0..1: the similarity to the
 * nearest answer, or 0 where that is below a half.
 *
 * As in lmms-eval, case and runs of whitespace do not count for the distance, but the lengths that it is divided by are
 * those of the texts as given; a similarity of exactly a half is kept. `strict` divides by the lengths of what was
 * compared, and gives 0 for a distance of a half as well, which is how the paper defines it.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function anls(prediction: string, answers: readonly string[], { strict = false }: MetricOptions = {}): number {
  checkText(prediction, "prediction");
  checkAnswers(answers);
  const text = strict ? normalised : (given: string): string => given;
  const nearest = Math.min(...answers.map((answer) => distance(text(prediction), text(answer))));
  const isSimilar = strict ? nearest < 0.5 : nearest <= 0.5;
  return isSimilar ? 1 - nearest : 0;
}

function distance(prediction: string, answer: string): number {
  const length = Math.max(Array.from(prediction).length, Array.from(answer).length);
  return length === 0 ? 0 : levenshtein(normalised(prediction), normalised(answer)) / length;
}

function normalised(text: string): string {
  return text.trim().toLowerCase().replace(/\s+/g, " ");
}
