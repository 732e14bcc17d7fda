import { isWorded, joinsOptions, plain, type Role, roleOf, standingLetters } from "./choice-wording.js";

/** One letter, or several joined by "and", "or" or a comma. */
interface Naming {
  letters: string[];
  role: Role;
  /** its form as a label of a list: "(A)", "A.", "A)", "A:", or A on a line of its own; empty for none */
  label: string;
}

/**
 * The option's letter that a text states as its answer, or null where a careful reader could not tell.
 *
 * 1. A letter counts where it stands alone: not in a word, contraction (C'est), compound (C-shaped, D.C., B+) or an
 *    alphabet other than the Latin. Markdown makes no difference.
 * 2. A bare A or I before a word is the article or the pronoun, unless that word goes with an option ("A is right"). A
 *    bare letter in lower case counts only in a statement.
 * 3. A letter is stated after "answer" or "option" with a colon or a form of "be", after a form of "be", a verb of choice
 *    or a conclusion ("it is B", "I choose B", "so B"), before "is right" and the like, in \boxed{}, at the text's
 *    opening, and on a line of its own. It is mentioned in brackets or quotes, after "option", and at the beginning
 *    of a clause.
 * 4. What is negated ("not A", "A is wrong") does not count, and takes back an earlier statement of the same letter. What
 *    is asked ("Is it A?") does not count, nor do the options themselves where the text lists them in order from the first.
 * 5. The last statement decides; one that joins letters ("A or B") states none. Without a statement it is the letter
 *    that is mentioned, if only one is.
 */
export function statedChoice(text: string, letters: readonly string[]): string | null {
  const mentioned = new Set<string>();
  let statement: string[] | null = null;
  for (const { letters: named, role } of withoutList(namingsIn(plain(text), letters), letters)) {
    if (role === "statement") {
      statement = named;
    } else if (role === "negated" && statement?.every((letter) => named.includes(letter))) {
      statement = null;
    } else if (role === "mention" && named.length === 1) {
      mentioned.add(named[0]);
    }
  }
  const candidates = statement ?? [...mentioned];
  return candidates.length === 1 ? candidates[0] : null;
}

function namingsIn(text: string, letters: readonly string[]): Naming[] {
  const found = standingLetters(text).filter(({ letter }) => letters.includes(letter));
  const groups: (typeof found)[] = [];
  found.forEach((one, index) => {
    const joined = index > 0 && joinsOptions(text.slice(found[index - 1].end, one.start), one.after);
    joined ? groups[groups.length - 1].push(one) : groups.push([one]);
  });
  return groups.map((group) => ({
    letters: [...new Set(group.map(({ letter }) => letter))],
    role: roleOf({ ...group[0], after: group[group.length - 1].after }),
    label: group.length === 1 && !isWorded(group[0]) ? group[0].label : "",
  }));
}

/** Without the options that the text lists under labels of one form, from the first letter on, two at least. */
function withoutList(namings: readonly Naming[], letters: readonly string[]): Naming[] {
  const listed: Naming[] = [];
  for (const naming of namings) {
    const isNext = naming.label !== "" && naming.role !== "negated" && naming.letters[0] === letters[listed.length];
    if (isNext && (listed.length === 0 || naming.label === listed[0].label)) {
      listed.push(naming);
    }
  }
  return listed.length < 2 ? [...namings] : namings.filter((naming) => !listed.includes(naming));
}
