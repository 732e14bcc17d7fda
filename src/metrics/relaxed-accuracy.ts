import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";

/** Decimal notation as Python reads it: underscores between digits, and either side of the point may be bare. */
const DECIMAL = /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i;
const INFINITE = /^([+-]?)inf(inity)?$/i;
const NOT_A_NUMBER = /^[+-]?nan$/i;

/**
 * Whether a prediction is right by ChartQA's measure: within 5% of a number, the same text otherwise, case aside.
 *
 * As in lmms-eval: a percentage is a hundredth (so "72%" is not near "72"), but only where % ends the text; whitespace
 * and full stops around a text count; and an answer of 0 is compared as text ("0.0" is wrong). `strict` passes over
 * whitespace around the texts and a full stop at their end, and compares 0 as a number.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function relaxedAccuracy(prediction: string, answer: string, { strict = false }: MetricOptions = {}): boolean {
  checkText(prediction, "prediction");
  checkText(answer, "answer");
  return strict ? isNear(bare(prediction), bare(answer), strict) : isNear(prediction, answer, strict);
}

function bare(text: string): string {
  return text.trim().replace(/\s*\.$/, "");
}

function isNear(prediction: string, answer: string, strict: boolean): boolean {
  const predicted = toNumber(prediction);
  const target = toNumber(answer);
  if (predicted === null || target === null || (target === 0 && !strict)) {
    return prediction.toLowerCase() === answer.toLowerCase();
  }
  if (target === 0) {
    return predicted === 0;
  }
  return Math.abs(predicted - target) / Math.abs(target) <= 0.05;
}

function toNumber(text: string): number | null {
  if (text.endsWith("%")) {
    const number = parse(text.replace(/%+$/, ""));
    return number === null ? null : number / 100;
  }
  return parse(text);
}

function parse(text: string): number | null {
  const trimmed = text.trim();
  if (DECIMAL.test(trimmed)) {
    return Number(trimmed.replaceAll("_", ""));
  }
  const infinite = INFINITE.exec(trimmed);
  if (infinite) {
    return infinite[1] === "-" ? -Infinity : Infinity;
  }
  return NOT_A_NUMBER.test(trimmed) ? NaN : null;
}
