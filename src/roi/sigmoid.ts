import type { NumberArray } from "./number-array.js";

/** Probabilities of a map of logits: 1 / (1 + e^-x) in float32, every step rounded. */
export function sigmoid(logits: NumberArray): Float32Array {
  const probabilities = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i++) {
    probabilities[i] = 1 / Math.fround(1 + Math.fround(Math.exp(-Math.fround(logits[i]))));
  }
  return probabilities;
}
