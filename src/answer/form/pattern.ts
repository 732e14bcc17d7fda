/**
 * A regular expression as the conversion to grammars knows it, or undefined where there is none: it then has to be checked
 * afterwards. What the result matches, the expression matches too; not always the other way round: `.` and `\s` stand for
 * characters that JSON strings hold unescaped.
 */
export function grammarPattern(pattern: string): string | undefined {
  if (!/^\^[\x20-\x7e]*\$$/.test(pattern)) {
    return undefined; // not anchored at both ends, or not ASCII
  }
  const body = pattern.slice(1, -1);
  let out = "";
  for (let at = 0; at < body.length; ) {
    const part = partAt(body, at);
    if (part === undefined) {
      return undefined;
    }
    out += part.text;
    at += part.length;
  }
  return `^${out}$`;
}

interface Part {
  text: string;
  /** characters of the pattern that it stands for */
  length: number;
}

const LITERAL = /^[A-Za-z0-9 _:,#@%&=;'<>!~`/-]$/;
const CLASSES: Readonly<Record<string, string>> = { d: "0-9", w: "A-Za-z0-9_", s: "\\x20" };
// all but the quotation mark and the backslash
const ANY = "[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]";

function partAt(body: string, at: number): Part | undefined {
  const rest = body.slice(at);
  const quantifier = /^(?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\})/.exec(rest);
  if (quantifier) {
    const lazy = rest[quantifier[0].length] === "?"; // which matches the same texts
    return { text: quantifier[0], length: quantifier[0].length + (lazy ? 1 : 0) };
  }
  const group = /^(?:\((?:\?:)?(?!\?)|\)|\|)/.exec(rest);
  if (group) {
    return { text: group[0], length: group[0].length };
  }
  if (rest[0] === ".") {
    return { text: ANY, length: 1 };
  }
  if (rest[0] === "[") {
    return classAt(rest);
  }
  if (rest[0] === "\\") {
    const name = rest[1];
    const text = CLASSES[name] ? `[${CLASSES[name]}]` : /^[-/]$/.test(name) ? name : /^[.()[\]{}|*+?^$]$/.test(name) ? `\\${name}` : undefined;
    return text === undefined ? undefined : { text, length: 2 };
  }
  return LITERAL.test(rest[0]) ? { text: rest[0], length: 1 } : undefined;
}

/** A class such as `[a-z\d.]`, its characters by their numbers; not a negated one, and none with characters that JSON escapes. */
function classAt(rest: string): Part | undefined {
  let text = "[";
  let at = 1;
  if (rest[at] === "^" || rest[at] === "]") {
    return undefined;
  }
  while (at < rest.length && rest[at] !== "]") {
    const named = /^\\([dws])/.exec(rest.slice(at));
    if (named) {
      text += CLASSES[named[1]];
      at += 2;
      continue;
    }
    const item = /^(\\[^A-Za-z0-9]|[^\\])(?:-(\\[^A-Za-z0-9]|[^\\\]]))?/.exec(rest.slice(at));
    if (!item) {
      return undefined;
    }
    const [from, to] = [item[1], item[2] ?? item[1]].map((character) => character.charCodeAt(character.length - 1));
    if (from > to || [0x22, 0x5c].some((escaped) => from <= escaped && escaped <= to)) {
      return undefined;
    }
    text += from === to ? hex(from) : `${hex(from)}-${hex(to)}`;
    at += item[0].length;
  }
  return at < rest.length ? { text: `${text}]`, length: at + 1 } : undefined;
}

function hex(code: number): string {
  return `\\x${code.toString(16).toUpperCase().padStart(2, "0")}`;
}
