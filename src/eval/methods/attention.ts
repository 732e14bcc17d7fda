import type { HeadChoice } from "../../distill/head-choice.js";
import { pseudoLabels } from "../../distill/pseudo-labels.js";
import type { Engine } from "../../engine/engine.js";
import { hasArea, toImageBox } from "../../roi/geometry.js";
import { viewOfPicture } from "../../roi/options.js";
import type { Box } from "../../base/types.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer, withLook } from "./method.js";

/** The longest answer whose attention is read, as in the published evaluation of this rival. */
export const ATTENTION_MAX_TOKENS = 32;

/**
 * The region without training: the maps that the network is trained on, made at test time. The model answers once with one
 * view while the attention of its tokens to the picture is read; the box of the foreground, by the rule of the
 * pseudo-labels, is what the second look reads.
 */
export class Attention implements Method {
  readonly name = "attention";
  readonly proposes = true;

  constructor(
    private readonly engine: Engine,
    private readonly heads: HeadChoice,
    /** cells whose sink attention reaches this count as 0 */
    private readonly sinkThreshold = 1e-3,
  ) {}

  async answer(asked: Asked): Promise<MethodAnswer> {
    const start = performance.now();
    const { grounding, sink } = this.heads;
    const params = { grounding: grounding.flat(), sink: sink.flat(), maxTokens: Math.min(ATTENTION_MAX_TOKENS, asked.maxTokens) };
    const prompt = await this.engine.tokenize(asked.prompt, 0, asked.signal);
    const maps = await this.engine.labelMaps(asked.picture.session.id, prompt, params, asked.signal);
    const crop = this.cropOf(maps, asked);
    const spent = performance.now() - start;
    const map = { ...asked.picture.layout.grid, data: relativeToMaximum(maps.grounding) };
    const answer = await answerLookingAt(this.engine, asked, crop ? [crop] : [], map);
    return withLook(answer, this.engine.promptTokens(prompt) + maps.tokens, spent);
  }

  private cropOf(maps: { grounding: Float32Array; sink: Float32Array }, { picture }: Asked): Box | null {
    const { source, layout } = picture;
    const { labels, foregroundBox } = pseudoLabels(maps.sink, maps.grounding, { grid: layout.grid, sinkThreshold: this.sinkThreshold });
    if (!labels.includes(1)) {
      return null; // spread over half the picture or more: it does not point anywhere
    }
    const [y0, x0, y1, x1] = foregroundBox;
    const box = toImageBox([x0, y0, x1 + 1, y1 + 1], viewOfPicture(layout, source));
    return hasArea(box) ? box : null;
  }
}

/** A map scaled so that its greatest value is 1; all 0 where it has none. */
export function relativeToMaximum(map: Float32Array): Float32Array {
  const greatest = map.reduce((a, b) => Math.max(a, b), 0);
  return greatest > 0 ? map.map((value) => value / greatest) : new Float32Array(map.length);
}
