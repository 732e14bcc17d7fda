import type { Timings } from "../base/types.js";
import type { PicturesInUse } from "../engine/opened-picture.js";
import type { NativeTimings } from "../native/binding.js";

/** Measures the phases of one call. */
export class Clock {
  readonly timings: Timings = { decode: 0, vision: 0, prefill: 0, rpn: 0, crop: 0, generate: 0, total: 0 };
  private readonly start = performance.now();

  add({ decodeMs, visionMs }: Pick<PicturesInUse, "decodeMs" | "visionMs">): void {
    this.timings.decode += decodeMs;
    this.timings.vision += visionMs;
  }

  addNative({ vision, prefill, rpn, generate }: NativeTimings): void {
    this.timings.vision += vision;
    this.timings.prefill += prefill;
    this.timings.rpn += rpn;
    this.timings.generate += generate;
  }

  /** Work of the phase `crop`. */
  crop<T>(work: () => Promise<T>): Promise<T> {
    return this.measure("crop", work);
  }

  /** Work of the phase `decode`. */
  decode<T>(work: () => Promise<T>): Promise<T> {
    return this.measure("decode", work);
  }

  private async measure<T>(phase: "crop" | "decode", work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.timings[phase] += performance.now() - start;
    return result;
  }

  /** The phases so far, with the time since the call began as total. */
  stop(): Timings {
    return { ...this.timings, total: performance.now() - this.start };
  }
}
