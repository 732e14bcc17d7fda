import { ATTENTION_MAX_TOKENS, attend } from "../../answer/methods/attention.js";
import { relativeToMaximum } from "../../answer/methods/method.js";
import type { Engine } from "../../engine/engine.js";
import type { HeadChoice } from "../../engine/head-choice.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer, withLook } from "./method.js";

/** The region without training, from the attention of the model's own answer: `model.answer` with method "attention". */
export class Attention implements Method {
  readonly name = "attention";
  readonly proposes = true;

  constructor(
    private readonly engine: Engine,
    private readonly heads: HeadChoice,
  ) {}

  async answer(asked: Asked): Promise<MethodAnswer> {
    const start = performance.now();
    const { picture, signal } = asked;
    const prompt = await this.engine.tokenize(asked.prompt, 0, signal, { views: picture.views });
    const maxTokens = Math.min(ATTENTION_MAX_TOKENS, asked.maxTokens);
    const { crop, grounding, tokens } = await attend(this.engine, picture, prompt, { heads: this.heads, maxTokens }, signal);
    const spent = performance.now() - start;
    const map = { ...picture.layout.grid, data: relativeToMaximum(grounding) };
    const answer = await answerLookingAt(this.engine, asked, crop ? [crop] : [], map);
    return withLook(answer, picture.session.tokens + prompt.length + tokens, spent);
  }
}
