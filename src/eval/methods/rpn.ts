import type { Engine } from "../../engine/engine.js";
import { answerWith, type Asked, type Method, type MethodAnswer, toMethodAnswer } from "./method.js";

/** The region proposal network (SD-RPN, arXiv 2509.16944): `model.answer` with roi "auto". */
export class Rpn implements Method {
  readonly name = "rpn";
  readonly proposes = true;

  /** @throws {SdRpnError} RPN_NOT_LOADED */
  constructor(
    private readonly engine: Engine,
    private readonly threshold: number,
    /** least score of the gate with which the network is asked; null: the gate is not */
    private readonly gate: number | null,
  ) {
    engine.requireRpn();
  }

  async answer(asked: Asked): Promise<MethodAnswer> {
    const answer = await answerWith(this.engine, asked, "auto", { threshold: this.threshold, gate: this.gate ?? false });
    const roi = answer.roi!; // "auto" with an RPN always has one
    return {
      ...toMethodAnswer(answer),
      crops: roi.region.crop ? [roi.region.crop] : [],
      keep: roi.region.keep,
      map: roi.map,
    };
  }
}
