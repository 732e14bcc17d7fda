/**
 * Levenshtein distance of two strings: the least number of insertions, deletions and substitutions of one character
 * (Unicode code point) that turn one into the other. O(|a| |b|) time, O(|b|) memory.
 */
export function levenshtein(a: string, b: string): number {
  const from = Array.from(a);
  const to = Array.from(b);
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  from.forEach((character, row) => {
    const current = [row + 1];
    to.forEach((other, column) => {
      const substitution = previous[column] + (character === other ? 0 : 1);
      current.push(Math.min(substitution, previous[column + 1] + 1, current[column] + 1));
    });
    previous = current;
  });
  return previous[to.length];
}
