import { SdRpnError } from "../base/errors.js";
import type { NativeModelInfo } from "../native/binding.js";
import type { Views } from "./views.js";

/** What a prompt is made of, in tokens. */
export interface PromptParts {
  /** before the picture */
  prefix: number;
  /** whether a system text is part of that */
  system: boolean;
  /** how many there are; default 1 */
  pictures?: number;
  /** after the pictures */
  asked?: number;
  views: Views;
  /** second looks that may come */
  looks?: number;
  /** messages of a history that are part of what is asked */
  messages?: number;
  /** goes before the number in the message */
  what?: string;
}

/**
 * Checks that a prompt leaves room for an answer. What a picture really takes is checked when it has been read.
 *
 * @throws {SdRpnError} CONTEXT_OVERFLOW
 */
export function checkFits({ prefix, system, pictures = 1, asked = 0, views, looks = 0, messages = 0, what = "" }: PromptParts, contextSize: number): void {
  const { min } = views.tokens;
  const tokens = prefix + pictures * min + asked;
  if (tokens + looks * min < contextSize) {
    return;
  }
  const several = pictures > 1 ? `, ${pictures * min} of them for ${pictures} pictures` : "";
  const turns = messages > 0 ? ` with the ${messages} messages before the question` : "";
  const room = looks > 0 ? `, and ${looks * min} are kept free for ${looks > 1 ? `${looks} second looks` : "a second look"}` : "";
  const fewer = pictures > 1 ? ", fewer pictures" : "";
  const shorter = ["question", ...(messages > 0 ? ["history"] : []), ...(system ? ["system text"] : [])].join(" or ");
  throw new SdRpnError("CONTEXT_OVERFLOW", `The prompt has ${what}${tokens} tokens${turns}${several}${room}, but the context holds ${contextSize}: use a larger contextSize${fewer} or a shorter ${shorter}`);
}

/**
 * A lower bound on a text's number of tokens: its length in bytes divided by that of the longest token. White space at the ends is not counted:
 * some vocabularies strip it beside control tokens.
 */
export function leastTokens({ longestToken }: Pick<NativeModelInfo, "longestToken">, text: string): number {
  return Math.ceil(Buffer.byteLength(text.trim()) / longestToken);
}
