import type { Engine } from "../../engine/engine.js";
import type { Box, Size } from "../../base/types.js";
import { answerLookingAt, type Asked, type Method, type MethodAnswer } from "./method.js";

/** Regions known in advance: the boxes of the data, or those of another system from a file. */
export class Given implements Method {
  constructor(
    private readonly engine: Engine,
    readonly name: string,
    readonly proposes: boolean,
    /** in pixels of the picture; none: one view */
    private readonly boxesOf: (asked: Asked) => readonly Box[],
  ) {}

  answer(asked: Asked): Promise<MethodAnswer> {
    const crops = this.boxesOf(asked)
      .map((box) => inside(box, asked.picture.source))
      .filter(({ width, height }) => width > 0 && height > 0);
    return answerLookingAt(this.engine, asked, crops);
  }
}

/** A box clipped to the picture, in whole pixels. */
function inside({ x, y, width, height }: Box, picture: Size): Box {
  const left = Math.max(0, Math.floor(x));
  const top = Math.max(0, Math.floor(y));
  return {
    x: left,
    y: top,
    width: Math.min(picture.width, Math.ceil(x + width)) - left,
    height: Math.min(picture.height, Math.ceil(y + height)) - top,
  };
}
