import { readFileSync } from "node:fs";
import { join } from "node:path";
import { anls } from "../../src/metrics/anls";
import { choiceLetter } from "../../src/metrics/choice-letter";
import { levenshtein } from "../../src/base/levenshtein";
import { relaxedAccuracy } from "../../src/metrics/relaxed-accuracy";
import { vqaAccuracy } from "../../src/metrics/vqa-accuracy";

interface Golden {
  vqa: { prediction: string; answers: string[]; score: number }[];
  anls: { prediction: string; answers: string[]; score: number }[];
  relaxed: { prediction: string; answer: string; score: boolean }[];
  letter: { prediction: string; letter: string | null }[];
}

const golden = JSON.parse(readFileSync(join(__dirname, "../fixtures/golden/metrics.json"), "utf8")) as Golden;

test("the golden file has all its cases", () => {
  expect(Object.values(golden).map((cases: unknown[]) => cases.length)).toEqual([60, 60, 60, 60]);
});

test.each(golden.vqa)("VQA accuracy of $prediction is $score", ({ prediction, answers, score }) => {
  expect(vqaAccuracy(prediction, answers)).toBeCloseTo(score, 12);
});

test.each(golden.anls)("ANLS of $prediction is $score", ({ prediction, answers, score }) => {
  expect(anls(prediction, answers)).toBeCloseTo(score, 12);
});

test.each(golden.relaxed)("relaxed accuracy of $prediction for $answer is $score", ({ prediction, answer, score }) => {
  expect(relaxedAccuracy(prediction, answer)).toBe(score);
});

test.each(golden.letter)("the letter of $prediction is $letter", ({ prediction, letter }) => {
  expect(choiceLetter(prediction)).toBe(letter);
});

const ten = (...answers: string[]) => Array.from({ length: 10 }, (_, index) => answers[index % answers.length]);

test("VQA accuracy normalises both sides", () => {
  for (const [prediction, answer] of [
    ["The Two dogs.", "2 dogs"],
    ["dont", "don't"],
    ["1,000?", "1000"],
    ["bob's", "Bob 's"],
    ["a-b", "a b"],
    ["a -b c-d", "b cd"],
    ["$3.50.", "$3.50"],
    ["  new\tyork\n", "new york"],
  ]) {
    expect([prediction, vqaAccuracy(prediction, ten(answer))]).toEqual([prediction, 1]);
  }
});

test("VQA accuracy counts the other answers, at most three", () => {
  const answers = (count: number) => Array.from({ length: 10 }, (_, index) => (index < count ? "red" : `other${index}`));
  expect(vqaAccuracy("red", answers(0))).toBe(0);
  expect(vqaAccuracy("red", answers(1))).toBeCloseTo(0.3, 12);
  expect(vqaAccuracy("red", answers(2))).toBeCloseTo(0.6, 12);
  expect(vqaAccuracy("red", answers(3))).toBeCloseTo(0.9, 12);
  expect(vqaAccuracy("red", answers(4))).toBe(1);
});

test("VQA accuracy removes 32 full stops at the most", () => {
  expect(vqaAccuracy(`a${".".repeat(32)}b`, ten("ab"))).toBe(1);
  expect(vqaAccuracy(`a${".".repeat(33)}b`, ten("ab"))).toBe(0);
});

test("strictly, VQA accuracy removes every full stop, and punctuation is a space", () => {
  for (const [prediction, answer] of [
    [`a${".".repeat(33)}b`, "ab"],
    ["a -b c-d", "b c d"],
    ["red,blue", "red blue"],
    ["1,000?", "1000"],
    ["The Two dogs.", "2 dogs"],
    ["$3.50.", "$3.50"],
    ["dont", "don't"],
    ["bob's", "Bob 's"],
  ]) {
    expect([prediction, vqaAccuracy(prediction, ten(answer), { strict: true })]).toEqual([prediction, 1]);
  }
  expect(vqaAccuracy("redblue", ten("red,blue"), { strict: true })).toBe(0);
  expect(vqaAccuracy("red", ten("red", "red", "blue", "blue", "blue"), { strict: true })).toBe(1);
});

test("strictly, ANLS gives nothing for a distance of a half, and divides by the lengths of what it compares", () => {
  for (const [prediction, answers, published, strict] of [
    ["ab", ["a"], 0.5, 0],
    ["ab", ["ax"], 0.5, 0],
    ["abcdef", ["abcxyz"], 0.5, 0],
    ["abcde", ["abcxy"], 0.6, 0.6],
    ["abcde", ["abxyz"], 0, 0],
    ["ab", ["ax", "abc"], 2 / 3, 2 / 3],
    ["  a   x ", ["a b"], 1 - 1 / 8, 1 - 1 / 3],
    ["  ", [""], 1, 1],
    ["a", [""], 0, 0],
  ] as const) {
    expect([prediction, anls(prediction, answers), anls(prediction, answers, { strict: true })]).toEqual([prediction, expect.closeTo(published, 12), expect.closeTo(strict, 12)]);
  }
});

test("ANLS divides by the lengths as given and forgives nothing below a half", () => {
  expect(anls("", [""])).toBe(1);
  expect(anls("A  B", ["a b"])).toBe(1);
  expect(anls("a   x", ["a b"])).toBeCloseTo(1 - 1 / 5, 12);
  expect(anls("ab", ["ax"])).toBe(0.5);
  expect(anls("abc", ["axx"])).toBe(0);
  expect(anls("cat", ["dog", "cats"])).toBe(0.75);
});

test.each<[string, string, boolean]>([
  ["105", "100", true],
  ["105.1", "100", false],
  ["95", "100", true],
  ["-95", "100", false],
  ["72", "72%", false],
  ["0.72", "72%", true],
  ["72%%", "0.72", true],
  ["1_000", "1000", true],
  ["1__000", "1000", false],
  ["1e3", "1000", true],
  [".5", "5e-1", true],
  ["5.", "5", true],
  ["0x10", "16", false],
  ["", "0", false],
  ["inf", "inf", false],
  ["nan", "1", false],
  ["0", "0", true],
  ["0.0", "0", false],
  ["Yes", "yes", true],
  ["yes.", "yes", false],
  ["yes ", "yes", false],
  ["%", "%", true],
])("relaxed accuracy of %p for %p is %p", (prediction, answer, right) => {
  expect(relaxedAccuracy(prediction, answer)).toBe(right);
});

test.each<[string, string, boolean, boolean]>([
  ["1.05", "1", false, true], // 1.05 - 1 is a little more than 0.05 in binary
  ["0.95", "1", false, true],
  ["2.1", "2", false, true],
  ["105", "100", true, true],
  ["105.0001", "100", false, false],
  ["1.0500000001", "1", false, false],
  ["-1.05", "-1", false, true],
  ["75.6%", "72%", true, true],
  ["75.6", "72%", false, false],
  ["0.0", "0", false, true],
  ["0.0001", "0", false, false],
  ["inf", "inf", false, true],
  ["Nan", "nan", false, true],
  ["inf", "1", false, false],
  ["1", "inf", false, false],
  ["yes .", "Yes", false, true],
])("relaxed accuracy of %p for %p is %p, strictly %p", (prediction, answer, published, strict) => {
  expect([relaxedAccuracy(prediction, answer), relaxedAccuracy(prediction, answer, { strict: true })]).toEqual([published, strict]);
});

test.each<[string, string | null]>([
  ["Answer: C", "A"],
  ["The answer: C", "C"],
  ["My choice is: (B)", "B"],
  ["It must be option\nd", "D"],
  ["I see (C), not A.", "C"],
  ["Surely B ] or D)", "B"],
  ["Red or blue? I pick C", "C"],
  ["She picked B", "B"],
  ["Text or B text, see", "B"],
  ["xbx", "B"],
  ["xbxax", null],
  ["", null],
  ["   ", null],
])("the letter of %p is %p", (prediction, letter) => {
  expect(choiceLetter(prediction)).toBe(letter);
});

test.each<[string, string, number]>([
  ["", "", 0],
  ["", "abc", 3],
  ["kitten", "sitting", 3],
  ["flaw", "lawn", 2],
  ["a\u{1F600}b", "ab", 1],
])("the distance of %p and %p is %p", (a, b, distance) => {
  expect(levenshtein(a, b)).toBe(distance);
  expect(levenshtein(b, a)).toBe(distance);
});

test.each<[string, () => unknown, string]>([
  ["vqaAccuracy", () => vqaAccuracy(5 as unknown as string, ["a"]), "Expected string for prediction but received 5 of type number"],
  ["vqaAccuracy", () => vqaAccuracy("a", []), "Expected array of at least one string for answers but received Array of length 0"],
  ["anls", () => anls("a", "a" as unknown as string[]), "Expected array of at least one string for answers but received a of type string"],
  ["anls", () => anls("a", ["a", null as unknown as string]), "Expected string for answers[1] but received null"],
  ["relaxedAccuracy", () => relaxedAccuracy("a", undefined as unknown as string), "Expected string for answer but received undefined"],
  ["choiceLetter", () => choiceLetter(null as unknown as string), "Expected string for prediction but received null"],
])("%s refuses other types", (_, call, message) => {
  expect(call).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message }));
});
