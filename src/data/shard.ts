import { invalidArgument } from "../base/validate.js";

/** One of `count` parts of a data set; `index` is 1..count. */
export interface Shard {
  index: number;
  count: number;
}

/**
 * "2/8": the second of eight parts.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [index, count] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  if (index < 1 || index > count) {
    throw invalidArgument("i/n with i between 1 and n", "shard", text);
  }
  return { index, count };
}

/** The part's elements: every n-th, beginning with the i-th, so that appending to the list does not move elements between parts. */
export function takeShard<T>(list: readonly T[], shard: Shard | null | undefined): T[] {
  return shard ? list.filter((_, position) => position % shard.count === shard.index - 1) : [...list];
}
