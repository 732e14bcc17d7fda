/** A place in a JSON text: the offset of a value, or of the first character that is not valid JSON. */
export interface JsonPlace {
  offset: number;
  /** the text is not valid JSON from `offset` on */
  broken: boolean;
}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

class Broken extends Error {
  constructor(readonly offset: number) {
    super(`not valid JSON from ${offset} on`);
  }
}

/**
 * Finds the value at `path` in a JSON text, or the place where the text stops being valid JSON. JSON.parse reports
 * neither, so this is used to locate errors; it is not fast and builds no values. Where the path does not exist, the result
 * is the innermost existing value on it.
 */
export function locate(text: string, path: readonly PropertyKey[]): JsonPlace {
  const scanner = new Scanner(text, path);
  try {
    scanner.document();
    return { offset: scanner.found, broken: false };
  } catch (error) {
    if (error instanceof Broken) {
      return { offset: error.offset, broken: true };
    }
    return { offset: 0, broken: true }; // nested deeper than the stack allows: the place is unknown
  }
}

class Scanner {
  found = 0;
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly path: readonly PropertyKey[],
  ) {}

  document(): void {
    this.value(0);
    if (this.at < this.text.length) {
      throw new Broken(this.at);
    }
  }

  /** `depth`: how many parts of the path lead here; -1 where this value is not on the path */
  private value(depth: number): void {
    this.take(SPACE);
    if (depth >= 0) {
      this.found = this.at;
    }
    const first = this.text[this.at];
    if (first === "{") {
      this.list("}", () => this.member(depth));
    } else if (first === "[") {
      let index = 0;
      this.list("]", () => this.value(depth >= 0 && this.path[depth] === index++ ? depth + 1 : -1));
    } else if (first === '"') {
      this.string();
    } else if (!this.take(SCALAR)) {
      throw new Broken(this.at);
    }
    this.take(SPACE);
  }

  private list(end: string, element: () => void): void {
    this.at++;
    this.take(SPACE);
    if (this.text[this.at] === end) {
      this.at++;
      return;
    }
    for (;;) {
      element();
      const next = this.text[this.at];
      if (next !== "," && next !== end) {
        throw new Broken(this.at);
      }
      this.at++;
      if (next === end) {
        return;
      }
    }
  }

  private member(depth: number): void {
    this.take(SPACE);
    const start = this.at;
    this.string();
    const key = JSON.parse(this.text.slice(start, this.at)) as string;
    this.take(SPACE);
    if (this.text[this.at] !== ":") {
      throw new Broken(this.at);
    }
    this.at++;
    this.value(depth >= 0 && this.path[depth] === key ? depth + 1 : -1);
  }

  private string(): void {
    if (!this.take(STRING)) {
      this.take(STRING_START);
      throw new Broken(this.at);
    }
  }

  /** Whether the pattern matches here; if it does, the position moves behind the match. */
  private take(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    const matched = pattern.exec(this.text);
    this.at += matched?.[0].length ?? 0;
    return matched !== null && matched[0] !== "";
  }
}
