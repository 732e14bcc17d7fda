import type { TokenLogprob } from "../base/types.js";

/**
 * How sure a model was of an answer: the geometric mean of its tokens' probabilities, exp(mean of logprobs), so that long
 * answers compare with short ones. An answer without tokens has none.
 */
export function confidenceOf(tokens: readonly TokenLogprob[]): { confidence?: number } {
  if (tokens.length === 0) {
    return {};
  }
  const sum = tokens.reduce((total, { logprob }) => total + logprob, 0);
  return { confidence: Math.exp(sum / tokens.length) };
}
