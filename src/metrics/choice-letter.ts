import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";
import { statedChoice } from "./stated-choice.js";

const LETTERS = ["A", "B", "C", "D"] as const;
export type ChoiceLetter = (typeof LETTERS)[number];

/** In order of precedence; each captures the letter. */
const PATTERNS = [
  /^([A-D])/, // whatever follows: "Answer: C" is A
  /(?:ANSWER|CHOICE|OPTION)(?:\s+IS)?[\s:]+([A-D])/,
  /\(([A-D])\)/,
  /([A-D])\s*[.)\]]/,
  /(?:^|\s)([A-D])(?:\s|$)/,
  /^[^A-D]*([A-D])[^A-D]*$/, // the only one there is
];

/**
 * The option that a prediction names, or null: the rules of lmms-eval for V*Bench, its oddities included, on the
 * trimmed text in upper case. `strict` reads the text as a careful person would, by the rules of `statedChoice` (docs/benchmarks.md).
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function choiceLetter(prediction: string, { strict = false }: MetricOptions = {}): ChoiceLetter | null {
  checkText(prediction, "prediction");
  if (strict) {
    return statedChoice(prediction, LETTERS) as ChoiceLetter | null;
  }
  const text = prediction.trim().toUpperCase();
  for (const pattern of PATTERNS) {
    const match = pattern.exec(text);
    if (match) {
      return match[1] as ChoiceLetter;
    }
  }
  return null;
}
