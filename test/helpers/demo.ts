import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const ROOT = resolve(__dirname, "..", "..");

export interface DemoQuestion {
  id: string;
  image: string;
  question: string;
  answer: string;
  kind: "object" | "form" | "coarse";
  box: [number, number, number, number];
  textBox: [number, number, number, number] | null;
}

/** The demo's questions, `image` being an absolute path. */
export function demoQuestions(kind?: DemoQuestion["kind"]): DemoQuestion[] {
  return readFileSync(join(ROOT, "demo", "questions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as DemoQuestion)
    .map((q) => ({ ...q, image: join(ROOT, "demo", q.image) }))
    .filter((q) => kind === undefined || q.kind === kind);
}
