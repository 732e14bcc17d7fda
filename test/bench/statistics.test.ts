import { operations } from "../../bench/floor";
import type { Sample } from "../../bench/protocol";
import type { Results } from "../../bench/run";
import { median, pairedRatios, quantile, rotate, summarize } from "../../bench/stats";
import { type Target, targets } from "../../bench/targets";

test("quantiles lie between neighbours in proportion, whatever the order", () => {
  expect(quantile([4, 1, 3, 2], 0)).toBe(1);
  expect(quantile([4, 1, 3, 2], 1)).toBe(4);
  expect(quantile([4, 1, 3, 2], 0.25)).toBeCloseTo(1.75);
  expect(quantile([10], 0.99)).toBe(10);
  expect(quantile([], 0.5)).toBeNaN();
});

test("a median is the middle, or the mean of the two in the middle, and its list stays as it was", () => {
  const values = [9, 1, 5];
  expect(median(values)).toBe(5);
  expect(values).toEqual([9, 1, 5]);
  expect(median([9, 1, 5, 7])).toBe(6);
  expect(summarize([2, 8, 4])).toEqual({ median: 4, min: 2, max: 8, n: 3 });
});

test("ratios are taken pair by pair: a machine that slows down for a round changes none", () => {
  expect(pairedRatios([2, 20, 2], [4, 40, 4])).toEqual([0.5, 0.5, 0.5]);
  expect(() => pairedRatios([1], [1, 2])).toThrow(/received 1 and 2/);
});

test("a rotated list has all items", () => {
  expect(rotate(["a", "b", "c"], 0)).toEqual(["a", "b", "c"]);
  expect(rotate(["a", "b", "c"], 4)).toEqual(["b", "c", "a"]);
  expect(rotate([], 2)).toEqual([]);
});

const SIZES_7B = { layers: 32, width: 4096, kvWidth: 4096, ff: 11008, vocab: 32000, branch: 15, blocks: 3, imageTokens: 576 };
const PROMPT = { prefix: 611, question: 25, image: 576, answer: 1 };

test("operations of the 7B model are about tokens times layers", () => {
  const cost = operations(SIZES_7B, PROMPT);
  // weights of the layers, without embeddings: 6.48 billion; 4096 * 32000 more once for the first token
  expect(cost.prefill).toBeCloseTo(636 * 6.476e9 + 32 * 2 * 4096 * 636 * (637 / 2) + 4096 * 32000, -10);
  expect(cost.regionFirst / cost.prefill).toBeCloseTo(17 / 32, 2);
  expect(cost.regionRepeat / cost.prefill).toBeCloseTo((25 * 17) / (636 * 32), 2);
  expect(cost.first / cost.reference).toBeCloseTo((611 * 34 + 25 * 17 + 601 * 32) / (636 * 17 + 1212 * 32), 2);
  expect(cost.next / cost.reference).toBeCloseTo((25 * 17 + 601 * 32) / (636 * 17 + 1212 * 32), 1);
  expect(cost.oneView).toBeCloseTo(cost.prefill, -6);
});

test("each further token of an answer costs about as much as one of the prompt", () => {
  const more = operations(SIZES_7B, { ...PROMPT, answer: 17 });
  const cost = operations(SIZES_7B, PROMPT);
  expect((more.oneView - cost.oneView) / cost.prefill).toBeCloseTo(16 / 636, 2);
});

describe("targets", () => {
  const rounds = (...ms: number[]): Sample[] => ms.map((value) => ({ ms: value, llm: value / 2 }));
  const rates = (...rate: number[]): Sample[] => rate.map((value) => ({ ms: 1, prefillRate: value, decodeRate: value }));
  const find = (measured: Results["measured"], name: RegExp): Target => {
    const results: Results = { about: {}, measured, memory: {}, missing: {}, failed: {} };
    const found = targets(results, operations(SIZES_7B, PROMPT)).find((target) => name.test(target.name));
    if (!found) {
      throw new Error(`no target ${name}`);
    }
    return found;
  };

  test("what was not measured is neither met nor missed", () => {
    expect(find({}, /next question/)).toMatchObject({ figure: undefined, met: null });
  });

  test("the median of the rounds' ratios decides", () => {
    const flow = { next: rounds(4, 45, 5), reference: rounds(10, 100, 10), prefill: rounds(4, 40, 4) };
    expect(find({ flow }, /next question/)).toMatchObject({ figure: { median: 0.45, min: 0.4, max: 0.5 }, met: true });
    expect(find({ flow: { ...flow, next: rounds(6, 60, 6) } }, /next question/).met).toBe(false);
  });

  test("the best peer is the one that leaves the smallest ratio", () => {
    const measured = {
      "peers @fugood/llama.node": { text: rates(100, 100), "text peer": rates(50, 50) },
      "peers node-llama-cpp": { text: rates(96, 95), "text peer": rates(100, 100) },
    };
    expect(find(measured, /^prefill/)).toMatchObject({ figure: { median: 0.955 }, met: false, note: expect.stringMatching(/^node-llama-cpp: 0\.955, @fugood/) });
  });

  test("a peer that takes longer to the first token makes a ratio above 1", () => {
    const measured = { "peers @fugood/llama.node": { picture: rounds(100), "picture peer": rounds(150) } };
    expect(find(measured, /first token/)).toMatchObject({ figure: { median: 1.5 }, met: true });
  });

  test("a call through JS may be 5 % slower than the native program, or take 2 ms beside the core's own time", () => {
    const of = (js: number, native: number, core: number): Target =>
      find({ binding: { roi_repeat: [{ ms: js, llm: core }], "roi_repeat native": rounds(native), ...others } }, /roi repeat/);
    const others = { full_prefill: rounds(1), "full_prefill native": rounds(1), roi_first: rounds(1), "roi_first native": rounds(1) };
    expect(of(104, 100, 50).met).toBe(true);
    expect(of(106, 100, 103).met).toBe(false);
    expect(of(106, 100, 104.5)).toMatchObject({ met: true, note: "1.50 ms a call beside the core's time" });
  });

  test("the event loop is measured above the idle loop of the same round", () => {
    const loop = { idle: rounds(3, 30), busy: rounds(10, 45) };
    expect(find({ loop }, /event-loop/)).toMatchObject({ figure: { median: 11 }, unit: "ms", met: true });
  });
});
