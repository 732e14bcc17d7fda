import { randomUUID } from "node:crypto";
import type { Answer, TokenLogprob, TokenLogprobs, Usage } from "../../base/types.js";
import { version } from "../../base/version.js";
import type { ImageRegion, OwnPart } from "../regions.js";

/** What an answer and the pieces of its stream have in common. */
export interface Head {
  id: string;
  created: number;
  model: string;
  system_fingerprint: string;
}

export function headOf(model: string): Head {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model, system_fingerprint: `sd-rpn-${version}` };
}

export function completionOf(head: Head, answer: Answer, annotations: ImageRegion[], own: OwnPart) {
  const message = { role: "assistant", content: answer.text, refusal: null, annotations };
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: logprobsOf(answer), finish_reason: answer.finishReason }],
    usage: usageOf(answer.usage),
    sd_rpn: own,
  };
}

export function usageOf({ promptTokens, completionTokens, imageTokens, roiTokens, reusedTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    // of a page in windows more is reused than the answer's own prompt has
    prompt_tokens_details: { cached_tokens: Math.min(reusedTokens, promptTokens), image_tokens: imageTokens, roi_tokens: roiTokens },
  };
}

export function logprobsOf({ logprobs }: Answer) {
  return logprobs ? { content: logprobs.map((token) => ({ ...tokenOf(token), top_logprobs: (token as TokenLogprobs).top.map(tokenOf) })), refusal: null } : null;
}

/** @returns `bytes` null for a part of a character, whose bytes the library does not tell */
function tokenOf({ text, logprob }: TokenLogprob) {
  return { token: text, logprob, bytes: text.includes("\uFFFD") ? null : [...Buffer.from(text)] };
}
