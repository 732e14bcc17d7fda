import type { Figure, ScoredItem } from "./task.js";

/** The mean score; NaN without items. */
export function share(name: string, label: string, scored: readonly ScoredItem[]): Figure {
  return { name, label, value: mean(scored.map(({ score }) => score)), unit: "share", items: scored.length };
}

/** How many are right. */
export function count(name: string, label: string, scored: readonly ScoredItem[]): Figure {
  return { name, label, value: scored.reduce((sum, { score }) => sum + score, 0), unit: "count", items: scored.length };
}

/**
 * A figure for each category that has items: in the order of `labels` (category to label), then other categories by
 * name.
 */
export function perCategory(
  scored: readonly ScoredItem[],
  labels: ReadonlyMap<string, string>,
  figure: (name: string, label: string, scored: readonly ScoredItem[]) => Figure = share,
): Figure[] {
  const groups = groupBy(scored, ({ item }) => item.category);
  const others = [...groups.keys()].filter((category): category is string => category !== undefined && !labels.has(category)).sort();
  return [...labels.keys(), ...others].flatMap((category) => {
    const members = groups.get(category);
    return members ? [figure(category, labels.get(category) ?? category, members)] : [];
  });
}

export function groupBy<T, K>(list: readonly T[], keyOf: (element: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const element of list) {
    const key = keyOf(element);
    const group = groups.get(key);
    if (group) {
      group.push(element);
    } else {
      groups.set(key, [element]);
    }
  }
  return groups;
}

export function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

export function countUnparsed(scored: readonly ScoredItem[]): number {
  return scored.filter(({ parsed }) => !parsed).length;
}
