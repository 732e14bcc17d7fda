import { grammarPattern } from "../../src/answer/form/pattern";

// The result is a regular expression too, so JavaScript says what both match.
const alphabet = ["a", "b", "Z", "0", "7", " ", "\t", "_", "-", ".", "/", "]", "^", "\"", "\\", "é", "\n"];
const texts = ["", ...alphabet, ...alphabet.flatMap((x) => alphabet.map((y) => x + y)), ...alphabet.flatMap((x) => alphabet.map((y) => `${x}0${y}`))];

test.each([
  ["^a$", true],
  ["^[a-z0-9]{1,2}$", true],
  ["^\\d+\\.?[\\d.]*$", true],
  ["^\\w$", true],
  ["^\\W?$", undefined],
  ["^[\\]\\^\\-/]+$", true],
  ["^(?:a|b0){1,}?[^a]?$", undefined],
  ["^(a|b(0|7))+_*$", true],
  ["^.0.$", false], // not the quotation mark, the backslash, and what is not ASCII
  ["^a\\sb$|^\\s$", undefined],
  ["^a?\\s?$", false],
  ["^[!-~]$", undefined],
  ["^[\"]$", undefined],
  ["^[\\\\]$", undefined],
  ["^\"$", undefined],
  ["^\\\\$", undefined],
  ["^\\n$", undefined],
  ["^\\x41$", undefined],
  ["^(?=a)a$", undefined],
  ["^(?<x>a)$", undefined],
  ["^(a)\\1$", undefined],
  ["^é$", undefined],
  ["^[a$", undefined],
  ["^[]a]$", undefined],
  ["^[z-a]$", undefined],
  ["^a\\$", undefined],
  ["a$", undefined],
  ["^a", undefined],
  ["", undefined],
])("%s", (pattern, exact) => {
  const known = grammarPattern(pattern);
  expect(known === undefined).toBe(exact === undefined);
  if (known !== undefined) {
    const matching = (source: string) => texts.filter((text) => new RegExp(source).test(text));
    expect(matching(known).length).toBeGreaterThan(0);
    if (exact) {
      expect(matching(known)).toEqual(matching(pattern));
    } else {
      expect(matching(pattern)).toEqual(expect.arrayContaining(matching(known)));
      expect(matching(known).join("")).not.toMatch(/["\\\t\né]/);
    }
  }
});
