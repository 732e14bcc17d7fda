import { relativeToMaximum } from "../../answer/methods/method.js";
import { relativeAttention, type VicropOptions } from "../../answer/methods/vicrop.js";
import type { Engine } from "../../engine/engine.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer, withLook } from "./method.js";

/** ViCrop's relative attention (arXiv 2502.17422): `model.answer` with method "vicrop", its constants being options. */
export class Vicrop implements Method {
  readonly name = "vicrop";
  readonly proposes = true;

  constructor(
    private readonly engine: Engine,
    private readonly options: VicropOptions,
  ) {}

  async answer(asked: Asked): Promise<MethodAnswer> {
    const start = performance.now();
    const { picture, prompt, signal } = asked;
    const { crop, map, tokens } = await relativeAttention(this.engine, picture, prompt, this.options, signal);
    const spent = performance.now() - start;
    const heat = { ...picture.layout.grid, data: relativeToMaximum(map) };
    return withLook(await answerLookingAt(this.engine, asked, [crop], heat), tokens, spent);
  }
}
