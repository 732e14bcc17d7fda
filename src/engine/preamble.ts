import type { Prompt } from "../prompt/prompt.js";
import type { Views } from "./views.js";

/** What stands before a picture: the model's prompt, with a system text or without, and its tokens up to there. */
export interface Preamble {
  prompt: Prompt;
  tokens: Int32Array;
}

/** What a call's picture is put into. */
export interface Setting {
  views: Views;
  preamble: Preamble;
}
