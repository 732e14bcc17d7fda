import { checkText } from "./check.js";

export type ChoiceLetter = "A" | "B" | "C" | "D";

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
 * trimmed text in upper case.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function choiceLetter(prediction: string): ChoiceLetter | null {
  checkText(prediction, "prediction");
  const text = prediction.trim().toUpperCase();
  for (const pattern of PATTERNS) {
    const match = pattern.exec(text);
    if (match) {
      return match[1] as ChoiceLetter;
    }
  }
  return null;
}
