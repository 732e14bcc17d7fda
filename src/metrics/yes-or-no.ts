import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";

/**
 * What a prediction says to a yes-or-no question, or null: POPE's rule, as lmms-eval has it. The text must be "yes" or
 * "no" and nothing else but case and whitespace around it, so "Yes." is neither; `strict` takes the first word.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function yesOrNo(prediction: string, { strict = false }: MetricOptions = {}): "yes" | "no" | null {
  checkText(prediction, "prediction");
  const text = prediction.trim().toLowerCase();
  const word = strict ? /^[^\p{L}\p{N}]*(yes|no)(?![\p{L}\p{N}])/u.exec(text)?.[1] : text;
  return word === "yes" || word === "no" ? word : null;
}
