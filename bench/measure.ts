import { Child } from "./child.js";
import type { EngineConfig, Sample, Samples } from "./protocol.js";
import { rotate } from "./stats.js";

/** All samples of each kind of call, one a round. */
export type Measured = Record<string, Sample[]>;

/**
 * Does every kind of work once a round, beginning with another one each time, so that what is compared is measured in
 * the same minute. A first round warms up and is not counted.
 */
export async function interleave(runs: number, works: (() => Promise<Samples>)[], say: (round: string) => void): Promise<Measured> {
  const measured: Measured = {};
  for (let round = 0; round <= runs; round++) {
    say(round === 0 ? "warming up" : `run ${round} of ${runs}`);
    for (const work of rotate(works, round)) {
      const samples = await work();
      for (const [name, sample] of Object.entries(samples)) {
        if (round > 0) {
          (measured[name] ??= []).push(sample);
        }
      }
    }
  }
  return measured;
}

/** Starts children, and stops them however the work ends. */
export async function withChildren<T>(configs: EngineConfig[], use: (...children: Child[]) => Promise<T>): Promise<T> {
  const children: Child[] = [];
  try {
    for (const config of configs) {
      children.push(await Child.start(config));
    }
    const result = await use(...children);
    await Promise.all(children.map((child) => child.stop()));
    return result;
  } catch (error) {
    for (const child of children) {
      child.kill();
    }
    throw error;
  }
}
