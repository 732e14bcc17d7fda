/** A list of measurements in short. */
export interface Summary {
  median: number;
  min: number;
  max: number;
  n: number;
}

/** The value below which the share `p` of the values lies, between neighbours in proportion; NaN of none. */
export function quantile(values: readonly number[], p: number): number {
  if (values.length === 0) {
    return NaN;
  }
  const sorted = [...values].sort((a, b) => a - b);
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), n: values.length };
}

/** a[i] / b[i]: both were measured in the same round, so that a machine that slows down slows both. */
export function pairedRatios(a: readonly number[], b: readonly number[]): number[] {
  if (a.length !== b.length) {
    throw new Error(`Expected as many measurements on either side but received ${a.length} and ${b.length}`);
  }
  return a.map((value, i) => value / b[i]);
}

/** The list begun at its n-th item, so that no kind of work always follows the same other one. */
export function rotate<T>(items: readonly T[], n: number): T[] {
  const at = items.length ? n % items.length : 0;
  return [...items.slice(at), ...items.slice(0, at)];
}
