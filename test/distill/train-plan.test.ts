import { makePlan } from "../../src/distill/train-plan";
import { binding } from "../../src/native/binding";

const native = new (binding().Model)();
afterAll(() => native.close());

// 40 pictures with one to three questions each
const pictures = Array.from({ length: 40 }, (_, i) => Array<string>((i % 3) + 1).fill(`${i}.jpg`)).flat();
const plan = (more: object) => makePlan(native, pictures, { seed: 3, epochs: 2, heldOut: 0.1, batchSize: 8, ...more });
const sorted = (numbers: number[]): number[] => [...numbers].sort((a, b) => a - b);

test("each epoch takes every pair once, in another order and in batches of about one size", () => {
  const { train, steps, stepsPerEpoch, batch } = plan({});
  expect(steps).toBe(2 * stepsPerEpoch);
  const epochs = [0, 1].map((epoch) => Array.from({ length: stepsPerEpoch }, (_, i) => batch(epoch * stepsPerEpoch + i)));
  for (const batches of epochs) {
    expect(sorted(batches.flat())).toEqual(train);
    const sizes = batches.map(({ length }) => length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
  expect(epochs[0].flat()).not.toEqual(epochs[1].flat());
});

test("the pairs of a step are found without those before it", () => {
  const { steps, batch } = plan({});
  const all = Array.from({ length: steps }, (_, step) => batch(step));
  expect(Array.from({ length: steps }, (_, i) => plan({}).batch(steps - 1 - i)).reverse()).toEqual(all);
});

test("no picture is both trained on and held out, and some are always left", () => {
  const { train, heldOut } = plan({});
  expect(sorted([...train, ...heldOut])).toEqual(pictures.map((_, i) => i));
  const held = new Set(heldOut.map((i) => pictures[i]));
  expect(held.size).toBe(4);
  expect(train.some((i) => held.has(pictures[i]))).toBe(false);
  expect(plan({ heldOut: 0 }).heldOut).toEqual([]);
  expect(plan({ heldOut: 0.999 }).train.length).toBeGreaterThan(0);
  expect(makePlan(native, ["one.jpg"], { seed: 0, epochs: 1, heldOut: 0.5, batchSize: 8 })).toMatchObject({ train: [0], heldOut: [], steps: 1 });
});

test("the default batch makes as many steps as the published training had, within 8 to 512", () => {
  const of = (pairs: number, epochs: number): number =>
    makePlan(native, Array.from({ length: pairs }, (_, i) => `${i}`), { seed: 0, epochs, heldOut: 0, batchSize: undefined }).batchSize;
  expect([of(152_000, 1), of(5_000, 1), of(5_000, 4), of(100, 1), of(3, 1)]).toEqual([512, 17, 67, 8, 3]);
});
