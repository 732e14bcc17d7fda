import { capitalize } from "../../src/eval/prompts";
import { type EvalItem, type Figures, type ScoredItem, type ScoreOptions, TASK_NAMES, type TaskName } from "../../src/eval/task";
import { taskOf } from "../../src/eval/tasks/index";

function item(answers: string[], more: Partial<EvalItem> = {}): EvalItem {
  return { id: "1", image: "/none.png", imageName: "none.png", prompt: "?", question: "?", answers, ...more };
}

function scored(task: TaskName, rows: [EvalItem, string][], options?: ScoreOptions): ScoredItem[] {
  return rows.map(([asked, prediction]) => ({ item: asked, ...taskOf(task).score(asked, prediction, options) }));
}

/** name to value, all of them in one */
function values({ main, categories, more }: Figures): Record<string, number> {
  return Object.fromEntries([main, ...categories, ...more].map(({ name, value }) => [name, value]));
}

const choices = (...texts: string[]) => texts.map((text, index) => ({ letter: "ABCDEFGHI"[index], text }));

describe("one prediction, as published and strict", () => {
  test.each<[TaskName, string, EvalItem, string, number, number]>([
    ["textvqa", "articles, case and full stops", item(Array(10).fill("copenhagen")), "The Copenhagen.", 1, 1],
    ["textvqa", "no more than 32 full stops are removed", item(Array(10).fill("ab")), `a${".".repeat(33)}b`, 0, 1],
    ["docvqa", "similarity", item(["0.28"]), "0.23", 0.75, 0.75],
    ["docvqa", "spaces around lengthen the texts", item(["ab"]), "ax      ", 0.875, 0],
    ["infovqa", "the nearest answer", item(["40%", "40"]), "40", 1, 1],
    ["chartqa", "within 5%", item(["14"]), "14.7", 1, 1],
    ["chartqa", "a full stop at the end", item(["Total"]), "Total.", 0, 1],
    ["chartqa", "zero", item(["0"]), "0.0", 0, 1],
    ["ocrbench", "stands in the prediction", item(["CENTRE"], { extra: { dataset: "IIIT5K" } }), 'The word is "Centre".', 1, 1],
    ["ocrbench", "spaces count outside of formulas", item(["a b"], { extra: { dataset: "IIIT5K" } }), "ab", 0, 0],
    ["ocrbench", "formulas without spaces", item(["x ^ { 2 }"], { extra: { dataset: "HME100k" } }), "x^{2} = 4", 1, 1],
    ["ocrbench", "capitals of formulas are never found", item(["X ^ { 2 }"], { extra: { dataset: "HME100k" } }), "X^{2}", 0, 1],
    ["vstar", "a letter", item(["C"]), "(C)", 1, 1],
    ["vstar", "a word's first character", item(["C"]), "Answer: C", 0, 1],
    ["vstar", "a letter and its text", item(["B"]), "B. cotton", 1, 1],
    ["pope", "nothing but the word", item(["yes"]), " YES\n", 1, 1],
    ["pope", "a full stop", item(["no"]), "No.", 0, 1],
    ["pope", "another word that begins alike", item(["no"]), "not", 0, 0],
    ["hrbench4k", "a letter among words", item(["B"], { options: choices("3", "12", "7") }), "It is B.", 1, 1],
    ["hrbench4k", "the text of one option", item(["B"], { options: choices("left", "right", "behind") }), "On the Right", 1, 1],
    ["hrbench4k", "a letter in lower case is none", item(["B"], { options: choices("left", "right") }), "b", 0, 0],
    ["custom", "case, spaces and a full stop", item(["Mia B"]), " mia  b. ", 1, 1],
    ["custom", "another text", item(["Mia"]), "mia b", 0, 0],
    ["custom", "a letter", item(["B"], { options: choices("yes", "no") }), "b) no", 1, 1],
    ["custom", "the pronoun among nine choices", item(["I"], { options: choices("1", "2", "3", "4", "5", "6", "7", "8", "9") }), "I think so", 1, 0],
    ["custom", "more choices than V* has letters", item(["F"], { options: choices("1", "2", "3", "4", "5", "6") }), "F", 1, 1],
  ])("%s: %s", (task, _, asked, prediction, published, strict) => {
    expect(taskOf(task).score(asked, prediction).score).toBeCloseTo(published, 12);
    expect(taskOf(task).score(asked, prediction, { strict: true }).score).toBeCloseTo(strict, 12);
  });
});

test.each<[TaskName, string, string | undefined]>([
  ["vstar", "the bus", "B"], // the only letter from A to D in it
  ["vstar", "i do not know", "D"],
  ["vstar", "none", undefined],
  ["hrbench4k", "A or B", undefined],
  ["hrbench4k", "Cannot determine the answer", "Z"],
  ["pope", "maybe", undefined],
  ["custom", "neither", undefined],
])("%s: %p is read as %p", (task, prediction, reading) => {
  const score = taskOf(task).score(item(["C"], { options: choices("yes", "no") }), prediction);
  expect(score).toEqual({ score: 0, parsed: reading !== undefined, reading });
});

test.each(TASK_NAMES)("%s: an item without answers cannot be scored", (task) => {
  expect(() => taskOf(task).score(item([]), "x")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("item with answers for item 1") }));
});

test.each(TASK_NAMES)("%s: of nothing there are no figures", (task) => {
  const { main, categories, unparsed } = taskOf(task).aggregate([]);
  expect([main.value, main.items, categories, unparsed]).toEqual([NaN, 0, [], 0]);
});

test("V*: attribute and spatial", () => {
  const of = (category: string): EvalItem => item(["A"], { category });
  const rows: [EvalItem, string][] = [[of("relative_position"), "A"], [of("direct_attributes"), "A"], [of("direct_attributes"), "B"], [of("direct_attributes"), "none"]];
  const figures = taskOf("vstar").aggregate(scored("vstar", rows));
  expect(values(figures)).toEqual({ accuracy: 0.5, direct_attributes: 1 / 3, relative_position: 1 });
  expect(figures.categories.map(({ label, items }) => [label, items])).toEqual([["attribute", 3], ["spatial", 1]]);
  expect(figures.unparsed).toBe(1);
});

test("ChartQA: human and augmented, weighed by their items", () => {
  const of = (category: string): EvalItem => item(["5"], { category });
  const rows: [EvalItem, string][] = [[of("augmented"), "5"], [of("augmented"), "5"], [of("augmented"), "6"], [of("human"), "6"]];
  expect(values(taskOf("chartqa").aggregate(scored("chartqa", rows)))).toEqual({ accuracy: 0.5, human: 0, augmented: 2 / 3 });
});

test("HR-Bench: means over the orders of the choices", () => {
  const of = (category: string, cycle: string): EvalItem => item(["A"], { category, extra: { cycle }, options: choices("x1", "y1") });
  const rows: [EvalItem, string][] = [
    [of("single", "A"), "A"],
    [of("single", "A"), "A"],
    [of("single", "A"), "B"],
    [of("single", "B"), "B"],
    [of("cross", "A"), "B"],
    [of("cross", "B"), "A"],
  ];
  const figures = taskOf("hrbench8k").aggregate(scored("hrbench8k", rows));
  expect(values(figures)).toEqual({ average: (2 / 4 + 1 / 2) / 2, single: (2 / 3 + 0) / 2, cross: (0 + 1) / 2 });
  expect(figures.categories.map(({ label }) => label)).toEqual(["FSP", "FCP"]);
});

test("OCRBench: counts by kind, and of text recognition", () => {
  const of = (category: string): EvalItem => item(["a"], { category, extra: { dataset: "x" } });
  const rows: [EvalItem, string][] = [[of("Doc-oriented VQA"), "a"], [of("Handwriting Recognition"), "a"], [of("Regular Text Recognition"), "b"], [of("Regular Text Recognition"), "a"]];
  const figures = taskOf("ocrbench").aggregate(scored("ocrbench", rows));
  expect(values(figures)).toEqual({ accuracy: 0.75, "Regular Text Recognition": 1, "Handwriting Recognition": 1, "Doc-oriented VQA": 1, total: 3, recognition: 2 });
  expect(figures.main.unit).toBe("share");
  expect(figures.categories.every(({ unit }) => unit === "count")).toBe(true);
});

test("POPE: accuracy, precision, recall and F1", () => {
  const of = (answer: string, category = "random"): EvalItem => item([answer], { category });
  const rows: [EvalItem, string][] = [
    [of("yes"), "yes"],
    [of("yes"), "no"],
    [of("yes"), "perhaps"],
    [of("no"), "yes"],
    [of("no"), "no"],
    [of("no", "adversarial"), "no"],
  ];
  const published = taskOf("pope").aggregate(scored("pope", rows));
  expect(values(published)).toEqual({ accuracy: 0.5, random: 0.4, adversarial: 1, precision: 0.5, recall: 0.5, f1: 0.5, yes_share: 1 / 3 });
  expect(published.unparsed).toBe(1);
  const strict = taskOf("pope").aggregate(scored("pope", rows, { strict: true }), { strict: true });
  expect(values(strict)).toMatchObject({ accuracy: 0.5, recall: 1 / 3, f1: 0.4 });
  expect(values(taskOf("pope").aggregate(scored("pope", [[of("yes"), "no"]])))).toMatchObject({ precision: 0, recall: 0, f1: 0 });
});

test("custom data has the categories that it names, by name", () => {
  const rows: [EvalItem, string][] = [[item(["x"], { category: "b" }), "x"], [item(["x"], { category: "a" }), "y"], [item(["x"]), "x"]];
  expect(Object.entries(values(taskOf("custom").aggregate(scored("custom", rows))))).toEqual([["accuracy", 2 / 3], ["a", 0], ["b", 1]]);
});

test("what the test servers take", () => {
  const predictions = [{ item: item([], { id: "49153" }), prediction: 'a "b"' }, { item: item([], { id: "24580" }), prediction: "" }];
  const list = [{ questionId: 49153, answer: 'a "b"' }, { questionId: 24580, answer: "" }];
  for (const task of ["docvqa", "infovqa"] as const) {
    const submission = taskOf(task).submission?.(predictions);
    expect(submission?.fileName).toBe(`${task}_submission.json`);
    expect(JSON.parse(submission?.contents ?? "")).toEqual(list);
  }
  expect(JSON.parse(taskOf("textvqa").submission?.(predictions).contents ?? "")).toEqual(list.map(({ questionId, answer }) => ({ question_id: questionId, answer })));
  expect(TASK_NAMES.filter((name) => taskOf(name).submission !== undefined)).toEqual(["textvqa", "docvqa", "infovqa"]);
});

test.each([
  ["what IS the Brand?", "What is the brand?"],
  ["", ""],
  ["é-mail OF Σίσυφος ΣΑΣ", "É-mail of σίσυφος σας"],
  ["ßA", "Ssa"],
  ["5 PM", "5 pm"],
  [" a", " a"],
  ["\u{10428}B", "\u{10400}b"],
  ["AΣ", "Aς"],
])("capitalize(%p) is %p, as Python has it", (text, expected) => {
  expect(capitalize(text)).toBe(expected);
});
