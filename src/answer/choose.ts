import type { Choice } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { NativeAnswer, NativeTurn, NativeView } from "../native/binding.js";

/** Texts to choose from, with the tokens by which the model writes them. */
export interface TokenizedChoices {
  texts: readonly string[];
  tokens: Int32Array[];
}

/** What a choice has in common with an answer that was written, and how likely each text is. */
export interface Chosen extends Omit<NativeAnswer, "logprobs"> {
  sureness: { choices: Choice[]; confidence: number };
}

/** The likeliest of the texts as the answer to a question; of equal ones the first. */
export async function choose(engine: Engine, session: number, question: Int32Array, views: NativeView[], { texts, tokens }: TokenizedChoices, turn: NativeTurn, signal?: AbortSignal): Promise<Chosen> {
  const { logprobs, ...counts } = await engine.choose(session, question, views, tokens, turn, signal);
  const choices = weigh(texts, Array.from(logprobs));
  const best = choices.reduce((likeliest, choice) => (choice.logprob > likeliest.logprob ? choice : likeliest));
  const completionTokens = tokens.reduce((sum, { length }) => sum + length, 0);
  return { ...counts, text: best.text, finishReason: "stop", completionTokens, sureness: { choices, confidence: best.probability } };
}

/** Log-probabilities of texts, and the softmax over them. */
export function weigh(texts: readonly string[], logprobs: readonly number[]): Choice[] {
  const max = Math.max(...logprobs);
  const weights = logprobs.map((logprob) => Math.exp(logprob - max));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return texts.map((text, index) => ({ text, probability: weights[index] / sum, logprob: logprobs[index] }));
}
