import { invalidArgument } from "../../base/validate.js";
import type { EvalItem, Submission } from "../task.js";

/** @throws {SdRpnError} INVALID_ARGUMENT for an item without answers */
export function answersOf({ id, answers }: EvalItem): readonly string[] {
  if (answers.length === 0) {
    throw invalidArgument("item with answers", `item ${id}`, answers);
  }
  return answers;
}

/** The submission file of a test server: a JSON list of question numbers and answers. */
export function answerList(fileName: string, key: string, predictions: readonly { item: EvalItem; prediction: string }[]): Submission {
  const list = predictions.map(({ item, prediction }) => ({ [key]: Number(item.id), answer: prediction }));
  return { fileName, contents: `${JSON.stringify(list)}\n` };
}
