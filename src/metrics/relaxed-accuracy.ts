import { checkText } from "./check.js";
import type { MetricOptions } from "./options.js";

const TOLERANCE = 0.05;
/** what reading two decimals as doubles and subtracting them can add to their relative difference */
const ROUNDING = 4 * Number.EPSILON;

/** Decimal notation as Python reads it: underscores between digits, and either side of the point may be bare. */
const DECIMAL = /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i;
const INFINITE = /^([+-]?)inf(inity)?$/i;
const NOT_A_NUMBER = /^[+-]?nan$/i;

/**
 * Whether a prediction is right by ChartQA's measure: within 5% of a number, the same text otherwise, case aside.
 *
 * As in lmms-eval: a percentage is a hundredth (so "72%" is not near "72"), but only where % ends the text; whitespace
 * and full stops around a text count; an answer of 0 is compared as text ("0.0" is wrong); 1.05 is too far from 1, and
 * "inf" from "inf", by the rules of floating point. `strict` passes over whitespace around the texts and a full stop at
 * their end, compares 0 as a number, counts exactly 5% as near, and takes the same text for right whatever it is.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function relaxedAccuracy(prediction: string, answer: string, { strict = false }: MetricOptions = {}): boolean {
  checkText(prediction, "prediction");
  checkText(answer, "answer");
  return strict ? isNearStrictly(bare(prediction), bare(answer)) : isNear(prediction, answer);
}

function bare(text: string): string {
  return text.trim().replace(/\s*\.$/, "");
}

function isNear(prediction: string, answer: string): boolean {
  const predicted = toNumber(prediction);
  const target = toNumber(answer);
  if (predicted === null || target === null || target === 0) {
    return isSameText(prediction, answer);
  }
  return Math.abs(predicted - target) / Math.abs(target) <= TOLERANCE;
}

function isNearStrictly(prediction: string, answer: string): boolean {
  const predicted = toNumber(prediction);
  const target = toNumber(answer);
  const isNumeric = predicted !== null && target !== null && Number.isFinite(target);
  return isSameText(prediction, answer) || (isNumeric && Math.abs(predicted - target) <= (TOLERANCE + ROUNDING) * Math.abs(target));
}

function isSameText(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
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
