import type { Choice } from "./task.js";

/** The lines that lmms-eval ends its questions with; no other wording compares with the papers. */
export const SINGLE_WORD_OR_PHRASE = "\nAnswer the question using a single word or phrase.";
export const SINGLE_WORD = "\nAnswer the question with a single word.";
export const LETTER_OF_CHOICES = "\nAnswer with the option's letter from the given choices directly.";
export const LETTER_DIRECTLY = "Answer the option letter directly.";

/** "A. red", one choice a line. */
export function choiceLines(choices: readonly Choice[]): string {
  return choices.map(({ letter, text }) => `${letter}. ${text}`).join("\n");
}

/**
 * The first character in upper case and all others in lower case, as Python's `str.capitalize` has it, which the prompts
 * of TextVQA went through. (Python's title case differs for a few digraphs, and for Georgian and Greek with iota subscript.)
 */
export function capitalize(text: string): string {
  const [first = ""] = text;
  const [upper = "", ...rest] = first.toUpperCase();
  // lowered as a whole, since a final sigma depends on what stands before it
  return upper + rest.join("").toLowerCase() + text.toLowerCase().slice(first.toLowerCase().length);
}

/** Choices under the letters A, B, C and so on. */
export function lettered(texts: readonly string[]): Choice[] {
  return texts.map((text, index) => ({ letter: String.fromCharCode(65 + index), text }));
}
