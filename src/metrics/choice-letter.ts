import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";

export type ChoiceLetter = "A" | "B" | "C" | "D";

const FIRST_CHARACTER = /^([A-D])/; // whatever follows: "Answer: C" is A
const FIRST_WORD = /^([A-D])(?![\p{L}\p{N}'])/u;

/** In order of precedence, after the first; each captures the letter. */
const PATTERNS = [
  /(?:ANSWER|CHOICE|OPTION)(?:\s+IS)?[\s:]+([A-D])/,
  /\(([A-D])\)/,
  /([A-D])\s*[.)\]]/,
  /(?:^|\s)([A-D])(?:\s|$)/,
  /^[^A-D]*([A-D])[^A-D]*$/, // the only one there is
];

/**
 * The option that a prediction names, or null: the rules of lmms-eval for V*Bench, its oddities included, on the
 * trimmed text in upper case. `strict` takes a first character only where it stands alone, so that "Answer: C" is C.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function choiceLetter(prediction: string, { strict = false }: MetricOptions = {}): ChoiceLetter | null {
  checkText(prediction, "prediction");
  const text = prediction.trim().toUpperCase();
  for (const pattern of [strict ? FIRST_WORD : FIRST_CHARACTER, ...PATTERNS]) {
    const match = pattern.exec(text);
    if (match) {
      return match[1] as ChoiceLetter;
    }
  }
  return null;
}
