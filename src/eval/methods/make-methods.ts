import type { Engine } from "../../engine/engine.js";
import { invalidArgument } from "../../base/validate.js";
import type { BoxesFile } from "../boxes-file.js";
import type { RunConfig } from "../config.js";
import { Attention } from "./attention.js";
import { Given } from "./given.js";
import type { Method } from "./method.js";
import { Plain } from "./plain.js";
import { Rpn } from "./rpn.js";
import { Vicrop } from "./vicrop.js";

/** The methods of a run, in its order. `threshold`: of the region proposal network. */
export function makeMethods(engine: Engine, config: RunConfig, threshold: number | null, files: ReadonlyMap<string, BoxesFile>): Method[] {
  return config.methods.map((name) => {
    switch (name) {
      case "none":
        return new Plain(engine);
      case "rpn":
        return new Rpn(engine, threshold!, config.gate);
      case "attention":
        return new Attention(engine, config.heads!);
      case "vicrop":
        return new Vicrop(engine, config.vicrop!);
      case "oracle":
        return new Given(engine, name, false, ({ boxes }) => boxes);
      default:
        return new Given(engine, name, true, ({ id }) => boxesOf(files, name, id));
    }
  });
}

function boxesOf(files: ReadonlyMap<string, BoxesFile>, name: string, id: string) {
  const boxes = files.get(name)?.boxes.get(id);
  if (!boxes) {
    throw invalidArgument("a file with boxes for every item", `boxes ${name}`, id);
  }
  return boxes;
}
