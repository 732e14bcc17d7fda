import { checkAnswers, checkText } from "./check.js";
import type { MetricOptions } from "./options.js";

export interface ContainsAnswerOptions extends MetricOptions {
  /** the answers are handwritten formulas (HME100k): spaces do not count, but their case does */
  formula?: boolean;
}

/**
 * Whether any of the answers stands somewhere in the prediction: OCRBench's rule, as lmms-eval has it. Case does not
 * count, line ends are spaces. Of formulas only the prediction is lowered, so an answer with capitals is never found;
 * `strict` compares them as written.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function containsAnswer(prediction: string, answers: readonly string[], options: ContainsAnswerOptions = {}): boolean {
  checkText(prediction, "prediction");
  checkAnswers(answers);
  const { formula = false, strict = false } = options;
  const predicted = formula && strict ? prediction : prediction.toLowerCase();
  const text = formula ? withoutSpaces : (given: string): string => oneLine(given.toLowerCase());
  return answers.some((answer) => text(predicted).includes(text(answer)));
}

function oneLine(text: string): string {
  return text.trim().replaceAll("\n", " ");
}

function withoutSpaces(text: string): string {
  return oneLine(text).replaceAll(" ", "");
}
