import type { Engine } from "../../engine/engine.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer } from "./method.js";

/** One view: the model without a second look. */
export class Plain implements Method {
  readonly name = "none";
  readonly proposes = false;

  constructor(private readonly engine: Engine) {}

  answer(asked: Asked): Promise<MethodAnswer> {
    return answerLookingAt(this.engine, asked, []);
  }
}
