import type { Choice } from "./task.js";

/** The lines with which lmms-eval ends its questions; results with other wordings are not comparable with the papers. */
export const SINGLE_WORD_OR_PHRASE = "\nAnswer the question using a single word or phrase.";
export const SINGLE_WORD = "\nAnswer the question with a single word.";
export const LETTER_OF_CHOICES = "\nAnswer with the option's letter from the given choices directly.";
export const LETTER_DIRECTLY = "Answer the option letter directly.";

/** "A. red", one choice per line. */
export function choiceLines(choices: readonly Choice[]): string {
  return choices.map(({ letter, text }) => `${letter}. ${text}`).join("\n");
}

/**
 * The first character in upper case and all others in lower case, as Python's `str.capitalize` does, which lmms-eval applies
 * to the questions of TextVQA. (Python's title case differs for a few digraphs, and for Georgian and Greek with iota subscript.)
 */
export function capitalize(text: string): string {
  const [first = ""] = text;
  const [upper = "", ...rest] = first.toUpperCase();
  // converted as a whole, since the form of a final sigma depends on the letters before it
  return upper + rest.join("").toLowerCase() + text.toLowerCase().slice(first.toLowerCase().length);
}

/** Choices under the letters A, B, C and so on. */
export function lettered(texts: readonly string[]): Choice[] {
  return texts.map((text, index) => ({ letter: String.fromCharCode(65 + index), text }));
}
