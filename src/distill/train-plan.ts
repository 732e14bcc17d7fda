import type { NativeModel } from "../native/binding.js";
import type { CheckedTrainOptions } from "./train-options.js";

/** The number for the held-out split, where pseudo-random orders are otherwise numbered by epoch. */
const SPLIT = 0xffffffff;

/** Steps of the published training: 152,000 pairs in batches of 512. */
const PUBLISHED_STEPS = 297;

/** The pairs of each step. They depend on the seed and the data alone, so that a resumed training needs only its step. */
export interface TrainPlan {
  /** pairs of a step, at most */
  batchSize: number;
  steps: number;
  stepsPerEpoch: number;
  /** pairs by their number */
  train: number[];
  heldOut: number[];
  /** the pairs of a step, counted from 0 */
  batch(step: number): number[];
}

/** @param pictures for each pair, which picture it asks about: no picture is both trained on and held out */
export function makePlan(
  native: Pick<NativeModel, "trainOrder">,
  pictures: readonly string[],
  options: Pick<CheckedTrainOptions, "seed" | "epochs" | "heldOut" | "batchSize">,
): TrainPlan {
  const { seed, epochs } = options;
  const distinct = [...new Set(pictures)];
  const share = options.heldOut > 0 ? Math.max(1, Math.round(options.heldOut * distinct.length)) : 0;
  const held = new Set(Array.from(native.trainOrder(distinct.length, seed, SPLIT), (i) => distinct[i]).slice(0, Math.min(share, distinct.length - 1)));
  const numbers = pictures.map((_, index) => index);
  const train = numbers.filter((index) => !held.has(pictures[index]));
  const heldOut = numbers.filter((index) => held.has(pictures[index]));

  const wanted = options.batchSize ?? Math.min(512, Math.max(8, Math.round((train.length * epochs) / PUBLISHED_STEPS)));
  const batchSize = Math.min(wanted, train.length);
  const stepsPerEpoch = Math.ceil(train.length / batchSize);
  let ordered = -1;
  let order: Int32Array = new Int32Array();
  const batch = (step: number): number[] => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== ordered) {
      order = native.trainOrder(train.length, seed, epoch);
      ordered = epoch;
    }
    // the sizes of an epoch's batches differ by at most one pair: a last batch of the remainder could be a single pair
    const border = (index: number): number => Math.floor((index * train.length) / stepsPerEpoch);
    const index = step % stepsPerEpoch;
    return Array.from(order.subarray(border(index), border(index + 1)), (i) => train[i]);
  };
  return { batchSize, steps: epochs * stepsPerEpoch, stepsPerEpoch, train, heldOut, batch };
}
