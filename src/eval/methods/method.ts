import { answerQuestion } from "../../answer/answer-question.js";
import type { Engine } from "../../engine/engine.js";
import { answerSchema } from "../../answer/options.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { Answer, Box, FinishReason, HeatMap, Timings } from "../../base/types.js";

/** One question as a method gets it. */
export interface Asked {
  /** what files of regions know it by */
  id: string;
  /** opened for this method alone */
  picture: OpenedPicture;
  /** the whole user text, as the task has it */
  prompt: string;
  /** where the answer can be read, in pixels of the picture; empty where the data does not say */
  boxes: readonly Box[];
  maxTokens: number;
  signal?: AbortSignal;
}

/** Milliseconds per phase, those of looking for a region with a separate pass included. */
export interface MethodTimings extends Timings {
  /** passes that only look for a region: prompts and tokens whose attention is read */
  look: number;
}

/** Tokens of one answer. */
export interface MethodTokens {
  /** of the answering prompt, those of pictures included */
  prompt: number;
  /** of the second look, a part of them */
  roi: number;
  completion: number;
  /** of prompts and answers that were only made to find the region */
  look: number;
}

export interface MethodAnswer {
  text: string;
  finishReason: FinishReason;
  /** what was looked at again, in pixels of the picture: each cut out and read, in this order */
  crops: readonly Box[];
  /** cells of the crop whose tokens were fed; null: all of them */
  keep: readonly number[] | null;
  /** 0..1, row-major, or null where the method has none */
  map: HeatMap | null;
  tokens: MethodTokens;
  timings: MethodTimings;
}

/** A way to answer questions about pictures, with or without a second look. */
export interface Method {
  readonly name: string;
  /** whether it proposes regions, so that their recall says something */
  readonly proposes: boolean;
  answer(asked: Asked): Promise<MethodAnswer>;
}

/** The library's own answer, greedy. The session's vision time counts for it. */
export async function answerWith(engine: Engine, asked: Asked, roi: "auto" | "never" | Box[], threshold?: number): Promise<Answer> {
  const { picture, prompt, maxTokens, signal } = asked;
  const answer = await answerQuestion(engine, picture, prompt, answerSchema.parse({ roi, threshold, maxTokens, signal }));
  return { ...answer, timings: { ...answer.timings, vision: answer.timings.vision + picture.session.visionMs } };
}

/** The answer with a look at each of `crops`, or with one view where there are none. */
export async function answerLookingAt(engine: Engine, asked: Asked, crops: readonly Box[], map: HeatMap | null = null): Promise<MethodAnswer> {
  const answer = await answerWith(engine, asked, crops.length > 0 ? [...crops] : "never");
  return { ...toMethodAnswer(answer), crops, map };
}

export function toMethodAnswer({ text, finishReason, usage, timings }: Answer): MethodAnswer {
  return {
    text,
    finishReason,
    crops: [],
    keep: null,
    map: null,
    tokens: { prompt: usage.promptTokens, roi: usage.roiTokens, completion: usage.completionTokens, look: 0 },
    timings: { ...timings, look: 0 },
  };
}

/** The answer with what it took to find its region. */
export function withLook(answer: MethodAnswer, tokens: number, milliseconds: number): MethodAnswer {
  const { timings } = answer;
  return {
    ...answer,
    tokens: { ...answer.tokens, look: tokens },
    timings: { ...timings, look: milliseconds, total: timings.total + milliseconds },
  };
}
