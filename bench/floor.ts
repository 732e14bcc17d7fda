import type { ModelSizes } from "./synth.js";

/** Tokens of the prompt's parts and of the answer. */
export interface PromptTokens {
  /** [system][image] */
  prefix: number;
  question: number;
  /** of one picture */
  image: number;
  answer: number;
}

/**
 * The multiplications of each kind of call in the language model and the network, as if every one took the same time:
 * the ratios that nothing but less work could beat. A question whose region was asked for goes on from the layers that
 * it has been through. Left out: norms, rotations, the head (one pass over the image's states), and what small batches lose.
 */
export function operations(sizes: ModelSizes, { prefix, question, image, answer }: PromptTokens) {
  const { layers, branch, blocks, width, kvWidth, ff, vocab } = sizes;
  const matrices = 2 * width * width + 2 * width * kvWidth + 3 * width * ff;
  /** `count` tokens after `past` others, causal: a token sees itself and all before it */
  const layer = (count: number, past: number): number => count * (matrices + 2 * width * (past + (count + 1) / 2));
  const network = blocks - 1;
  const prompt = prefix + question;
  const long = prompt + image;

  const decode = (past: number): number => layers * layer(answer - 1, past) + answer * width * vocab;
  const regionFirst = (branch + network) * layer(prompt, 0);
  const regionRepeat = (branch + network) * layer(question, prefix);
  // the tokens of the second look stand before the question's, so that these go through all layers again
  const second = layers * layer(image + question, prefix) + decode(long);
  return {
    prefill: layers * layer(prompt, 0) + width * vocab,
    oneView: layers * layer(prompt, 0) + decode(prompt),
    regionFirst,
    regionRepeat,
    first: (layers + network) * layer(prefix, 0) + regionRepeat + second,
    next: regionRepeat + second,
    reference: regionFirst + layers * layer(long, 0) + decode(long),
  };
}
