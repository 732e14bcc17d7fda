import { checkAnswers, checkText } from "./check.js";
import { levenshtein } from "../base/levenshtein.js";
import type { MetricOptions } from "./options.js";

/** Similarities below this count as wrong. */
const THRESHOLD = 0.5;

/**
 * Average normalised Levenshtein similarity of one prediction (DocVQA, InfographicVQA), 0..1: the similarity to the
 * nearest answer, or 0 where that is below a half.
 *
 * As in lmms-eval, case and runs of whitespace do not count for the distance, but the lengths that it is divided by are
 * those of the texts as given. `strict` divides by the lengths of what was compared.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function anls(prediction: string, answers: readonly string[], { strict = false }: MetricOptions = {}): number {
  checkText(prediction, "prediction");
  checkAnswers(answers);
  const text = strict ? normalised : (given: string): string => given;
  const similarity = 1 - Math.min(...answers.map((answer) => distance(text(prediction), text(answer))));
  return similarity < THRESHOLD ? 0 : similarity;
}

function distance(prediction: string, answer: string): number {
  const length = Math.max(Array.from(prediction).length, Array.from(answer).length);
  return length === 0 ? 0 : levenshtein(normalised(prediction), normalised(answer)) / length;
}

function normalised(text: string): string {
  return text.trim().toLowerCase().replace(/\s+/g, " ");
}
