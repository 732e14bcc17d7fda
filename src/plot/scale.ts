/** Maps values to pixels along an axis. */
export interface Scale {
  /** pixel of a value; values outside are cut to the axis's ends */
  at(value: number): number;
  /** where marks go, with their labels */
  ticks: { value: number; label: string }[];
}

export interface ScaleOptions {
  /** of the values */
  low: number;
  high: number;
  /** pixels of the two ends */
  from: number;
  to: number;
  /** about how many marks; default 6 */
  count?: number;
  log?: boolean;
}

/** An axis from `low` to `high`; one without extent is widened. A logarithmic one needs low above 0. */
export function makeScale({ low, high, from, to, count = 6, log = false }: ScaleOptions): Scale {
  if (!(high > low)) {
    [low, high] = log ? [low / 2, low * 2] : [low - (Math.abs(low) || 1) / 2, low + (Math.abs(low) || 1) / 2];
  }
  const warp = log ? Math.log10 : (value: number): number => value;
  const [a, b] = [warp(low), warp(high)];
  const at = (value: number): number => {
    const share = (warp(log ? Math.max(value, low) : value) - a) / (b - a);
    return from + (to - from) * Math.min(1, Math.max(0, share));
  };
  return { at, ticks: log ? logTicks(low, high) : linearTicks(low, high, count) };
}

/** The next multiples of the mark's distance outside of low and high, so that an axis begins and ends at a mark. */
export function niceRange(low: number, high: number, count = 6): [low: number, high: number] {
  const step = niceStep(high - low, count);
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(extent: number, count: number): number {
  const rough = (extent || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * (1 - 1e-9)) as number;
  return factor * power;
}

function linearTicks(low: number, high: number, count: number): Scale["ticks"] {
  const step = niceStep(high - low, count);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const value = (first + i) * step;
    return { value, label: formatTick(value, digits) };
  });
}

/** Powers of ten; where that is fewer than three, twice and five times those as well. */
function logTicks(low: number, high: number): Scale["ticks"] {
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 }, (_, i) => Math.floor(Math.log10(low)) + i);
  const inside = (value: number): boolean => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  const marks = (factors: readonly number[]) =>
    powers.flatMap((power) => factors.map((factor) => ({ value: factor * 10 ** power, label: formatTick(factor * 10 ** power, Math.max(0, -power)) }))).filter(({ value }) => inside(value));
  const decades = marks([1]);
  return decades.length >= 3 ? decades : marks([1, 2, 5]);
}

/** "0.25", "1,500", "3M" */
function formatTick(value: number, digits: number): string {
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"]] as const) {
    if (size >= unit) {
      return `${Number((value / unit).toPrecision(4))}${letter}`;
    }
  }
  const text = value.toFixed(Math.min(digits, 8));
  return size >= 1000 ? text.replace(/\B(?=(\d{3})+$)/, ",") : text === "-0" ? "0" : text;
}
