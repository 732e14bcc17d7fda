import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";
import { statedChoice } from "./stated-choice.js";

/** Predictions with one of these refuse to answer. */
const REFUSALS = [
  "Sorry, I can't help with images of people yet.",
  "I can't process this file.",
  "I'm sorry, but without the image provided",
  "Cannot determine the answer",
];
const API_FAILURE = "Failed to obtain answer via API";
/** What the rules give for a prediction that chooses none of the options, and says so. */
const NONE = "Z";

/**
 * The option that a prediction names, "Z" where it refuses to choose, or null where no rule can tell: the rules that
 * HR-Bench is scored by in lmms-eval before it asks a judge model, which this library never does.
 *
 * A letter counts where it is the only one of the options' letters that stands as a word, in capitals; else the option
 * whose text, and no other's, is somewhere in the prediction, case aside. `strict` reads letters by the rules of
 * `statedChoice` in place of that, so that the I of "I think so" is none of nine options.
 *
 * @param options letter to text
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function choiceOfOptions(prediction: string, options: ReadonlyMap<string, string>, { strict = false }: MetricOptions = {}): string | null {
  checkText(prediction, "prediction");
  const text = prediction.trim();
  const letters = [...options.keys()];
  return (strict ? statedChoice(text, letters) : letterOf(text, letters)) ?? optionInText(text, options);
}

function letterOf(text: string, letters: readonly string[]): string | null {
  if (text.includes(API_FAILURE)) {
    return null;
  }
  if (REFUSALS.some((refusal) => text.includes(refusal))) {
    return NONE;
  }
  const words = new Set(text.replace(/[.()[\],:;!*#{}]/g, " ").split(/\s+/));
  const named = letters.filter((letter) => words.has(letter));
  if (named.length === 0 && words.has(NONE)) {
    return NONE;
  }
  return named.length === 1 ? named[0] : null;
}

function optionInText(text: string, options: ReadonlyMap<string, string>): string | null {
  const lowered = text.toLowerCase();
  const named = [...options].filter(([, option]) => lowered.includes(option.toLowerCase()));
  return named.length === 1 ? named[0][0] : null;
}
