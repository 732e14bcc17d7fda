import { invalidArgument } from "../base/validate.js";

/** @throws {SdRpnError} INVALID_ARGUMENT unless `value` is a string */
export function checkText(value: unknown, name: string): asserts value is string {
  if (typeof value !== "string") {
    throw invalidArgument("string", name, value);
  }
}

/** @throws {SdRpnError} INVALID_ARGUMENT unless `answers` is an array of at least one string */
export function checkAnswers(answers: unknown): asserts answers is readonly string[] {
  if (!Array.isArray(answers) || answers.length === 0) {
    throw invalidArgument("array of at least one string", "answers", answers);
  }
  answers.forEach((answer, index) => checkText(answer, `answers[${index}]`));
}
