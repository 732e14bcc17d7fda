import { bootstrap, mcnemarExact } from "../../../src/eval/statistics";

describe("mcnemarExact", () => {
  // two-sided exact binomial p, summed in rational arithmetic
  test.each([
    [0, 0, 1],
    [1, 0, 1],
    [5, 0, 0.0625],
    [1, 9, 0.021484375],
    [9, 1, 0.021484375],
    [3, 7, 0.34375],
    [5, 5, 1],
    [10, 25, 0.01667384780012071],
    [59, 121, 4.434449263755176e-6],
  ])("%d won, %d lost: p = %d", (won, lost, p) => {
    expect(Math.abs(mcnemarExact(won, lost) / p - 1)).toBeLessThan(1e-9);
  });

  test("thousands of throws neither overflow nor underflow", () => {
    expect(mcnemarExact(2000, 2000)).toBe(1);
    expect(mcnemarExact(1950, 2050)).toBeCloseTo(0.11749506836896137, 10);
    expect(mcnemarExact(0, 5000)).toBe(0);
  });
});

describe("bootstrap", () => {
  const meanOf = (values: readonly number[]) => (sample: Int32Array) => [sample.reduce((sum, i) => sum + values[i], 0) / sample.length];

  test("of a share, it is close to the normal interval", async () => {
    const values = Array.from({ length: 1000 }, (_, i) => Number(i % 10 < 3));
    const [{ low, high }] = await bootstrap(1000, meanOf(values), 1, { resamples: 4000 });
    const half = 1.96 * Math.sqrt((0.3 * 0.7) / 1000);
    expect(Math.abs(low - (0.3 - half))).toBeLessThan(0.003);
    expect(Math.abs(high - (0.3 + half))).toBeLessThan(0.003);
  });

  test("it holds the true mean in about 95 of 100 samples", async () => {
    let held = 0;
    let state = 1;
    const uniform = (): number => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff; // not the bootstrap's own generator
    for (let run = 0; run < 200; run++) {
      const values = Array.from({ length: 100 }, () => Number(uniform() < 0.25));
      const [{ low, high }] = await bootstrap(100, meanOf(values), run, { resamples: 400 });
      held += Number(low <= 0.25 && high >= 0.25);
    }
    expect(held).toBeGreaterThan(178);
    expect(held).toBeLessThan(200);
  });

  test("the seed decides it, to the last bit", async () => {
    const values = [1, 0, 0.3, 1, 0.6, 0, 1, 1];
    expect(await bootstrap(8, meanOf(values), 7)).toEqual(await bootstrap(8, meanOf(values), 7));
    expect(await bootstrap(8, meanOf(values), 7)).not.toEqual(await bootstrap(8, meanOf(values), 8));
  });

  test("numbers of the same items are paired: a constant gain has no width", async () => {
    const base = Array.from({ length: 100 }, (_, i) => i / 200);
    const [one, gain] = await bootstrap(100, (sample) => {
      const mean = meanOf(base)(sample)[0];
      const better = meanOf(base.map((value) => value + 0.25))(sample)[0];
      return [mean, better - mean];
    }, 3);
    expect(one.high - one.low).toBeGreaterThan(0.04);
    expect(gain.low).toBeCloseTo(0.25, 12);
    expect(gain.high).toBeCloseTo(0.25, 12);
  });

  test("samples that allow no number are left out; no items give no interval", async () => {
    const [rare] = await bootstrap(3, (sample) => [sample.includes(2) ? 5 : NaN], 1);
    expect(rare).toEqual({ low: 5, high: 5 });
    expect(await bootstrap(0, () => [NaN], 1)).toEqual([{ low: NaN, high: NaN }]);
  });
});
