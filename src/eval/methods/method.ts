import { answerQuestion } from "../../answer/answer-question.js";
import type { Engine } from "../../engine/engine.js";
import { answerSchema } from "../../answer/options.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { Answer, Box, FinishReason, HeatMap, Timings } from "../../base/types.js";

/** The input of a method: one question about an opened picture. */
export interface Asked {
  /** the id in files of regions */
  id: string;
  /** opened for this method alone */
  picture: OpenedPicture;
  /** the whole user text of the task */
  prompt: string;
  /** where the answer can be read, in pixels of the picture; empty where the data does not say */
  boxes: readonly Box[];
  maxTokens: number;
  signal?: AbortSignal;
}

/** Milliseconds per phase, those of looking for a region with a separate pass included. */
export interface MethodTimings extends Timings {
  /** extra passes that only look for a region, such as those whose attention is read */
  look: number;
}

/** Tokens of one answer. */
export interface MethodTokens {
  /** of the answering prompt, those of pictures included */
  prompt: number;
  /** of the second look, a part of them */
  roi: number;
  completion: number;
  /** of prompts and answers computed only to find the region */
  look: number;
}

export interface MethodAnswer {
  text: string;
  finishReason: FinishReason;
  /** the crops of the second look, in pixels of the picture and in this order */
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
  /** whether it proposes regions, so that their recall is meaningful */
  readonly proposes: boolean;
  answer(asked: Asked): Promise<MethodAnswer>;
}

/** The library's own answer, greedy. The session's vision time counts for it. */
export async function answerWith(engine: Engine, asked: Asked, roi: "auto" | "never" | Box[], how: { threshold?: number; gate?: number | false } = {}): Promise<Answer> {
  const { picture, prompt, maxTokens, signal } = asked;
  const answer = await answerQuestion(engine, picture, prompt, answerSchema.parse({ roi, ...how, maxTokens, signal }));
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

/** Adds to an answer the cost of finding its region. */
export function withLook(answer: MethodAnswer, tokens: number, milliseconds: number): MethodAnswer {
  const { timings } = answer;
  return {
    ...answer,
    tokens: { ...answer.tokens, look: tokens },
    timings: { ...timings, look: milliseconds, total: timings.total + milliseconds },
  };
}
