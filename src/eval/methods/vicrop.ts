import type { Engine } from "../../engine/engine.js";
import { viewOfPicture } from "../../roi/options.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer, withLook } from "./method.js";
import { relativeToMaximum } from "./attention.js";
import { vicropWindow } from "./vicrop-window.js";

export interface VicropOptions {
  /** the layer whose attention is read, from 0; default 14/32 of the depth: the authors' for LLaVA-1.5 7B */
  layer: number;
  /** side of the smallest window in source pixels; default the model's input size */
  inputSize: number;
  /** ending of both prompts; not added where the question already ends with it */
  suffix: string;
}

/** What the attention of a question is compared with. */
const GENERIC = "Write a general description of the image.";

/**
 * ViCrop's relative attention (arXiv 2502.17422): attention of the prompt's last token to the picture, mean over the heads
 * of one layer, divided cell by cell by the same for a generic question; the authors' window rule makes the crop. Two more
 * prefills, no decoding.
 */
export class Vicrop implements Method {
  readonly name = "vicrop";
  readonly proposes = true;

  constructor(
    private readonly engine: Engine,
    private readonly options: VicropOptions,
  ) {}

  async answer(asked: Asked): Promise<MethodAnswer> {
    const start = performance.now();
    const { suffix, inputSize } = this.options;
    const prompt = await this.engine.tokenize(asked.prompt.endsWith(suffix) ? asked.prompt : asked.prompt + suffix, 0, asked.signal);
    const describe = await this.engine.tokenize(GENERIC + suffix, 0, asked.signal);
    const own = await this.lastTokenMap(prompt, asked);
    const generic = await this.lastTokenMap(describe, asked);
    const relative = own.map((value, cell) => value / Math.max(generic[cell], Number.MIN_VALUE));
    const { source, layout } = asked.picture;
    const crop = vicropWindow(relative, viewOfPicture(layout, source), inputSize);
    const spent = performance.now() - start;
    const tokens = this.engine.promptTokens(prompt) + this.engine.promptTokens(describe);
    const map = { ...layout.grid, data: relativeToMaximum(relative) };
    return withLook(await answerLookingAt(this.engine, asked, [crop], map), tokens, spent);
  }

  /** Attention of the prompt's last token to the picture, mean over the heads of the layer. */
  private async lastTokenMap(prompt: Int32Array, { picture, signal }: Asked): Promise<Float32Array> {
    // with one generated token the only row is that of the prompt's last token
    const { output, heads, cells } = await this.engine.attention(picture.session.id, prompt, { layers: [this.options.layer], maxTokens: 1, question: false }, signal);
    return Float32Array.from({ length: cells }, (_, cell) => {
      let sum = 0;
      for (let head = 0; head < heads; head++) {
        sum += output[head * cells + cell];
      }
      return sum / heads;
    });
  }
}
