import type { Prompt } from "../prompt/prompt.js";
import type { Views } from "./views.js";

/** What stands before a picture, or before several: the model's prompt, with a system text or without, and its tokens up to there. */
export interface Preamble {
  prompt: Prompt;
  /** before the first picture */
  tokens: Int32Array;
  /** between one picture and the next */
  between: Int32Array[];
  /** whether a system text is part of it */
  system: boolean;
}

/** What a call's pictures are put into. */
export interface Setting {
  views: Views;
  preamble: Preamble;
}
