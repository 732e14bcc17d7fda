import { dirname, join } from "node:path";
import { readTextFile } from "../base/regular-file.js";
import { demoModel } from "../model/demo-model.js";
import { withIoError } from "./exit.js";

/** A line of demo/questions.jsonl. */
export interface DemoQuestion {
  id: string;
  /** path of the picture, relative to the file in it, absolute here */
  image: string;
  question: string;
  answer: string;
  /** the code printed on an object or under a key word of a form; coarse: visible in the small view too */
  kind: "object" | "form" | "coarse";
}

/** The order in which the demo alternates kinds; few are coarse, since the plain model answers those anyway. */
const TURNS: readonly DemoQuestion["kind"][] = ["object", "form", "object", "form", "coarse"];

/** @throws {SdRpnError} IO_ERROR where the package does not have the file */
export async function readDemoQuestions(): Promise<DemoQuestion[]> {
  const folder = dirname(demoModel().model);
  const text = await withIoError("read the demo's questions", () => readTextFile(join(folder, "questions.jsonl")));
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as DemoQuestion)
    .map((question) => ({ ...question, image: join(folder, question.image) }));
}

/** The first `limit` of them, alternating between kinds as long as each has questions left. */
export function takeTurns(questions: readonly DemoQuestion[], limit: number): DemoQuestion[] {
  const left = [...questions];
  const taken: DemoQuestion[] = [];
  for (let turn = 0; taken.length < Math.min(limit, questions.length); turn++) {
    const index = left.findIndex(({ kind }) => kind === TURNS[turn % TURNS.length]);
    if (index >= 0) {
      taken.push(...left.splice(index, 1));
    }
  }
  return taken;
}
