import type { RoI } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import type { TakenPicture } from "../image/taken-picture.js";
import { Clock } from "./clock.js";
import { chooseMethod, METHODS } from "./methods/choose-method.js";
import type { CheckedPredictOptions } from "./options.js";
import { regionResult } from "./region-result.js";
import { gateOf, viewsOfCall } from "./settings.js";

/** The region of a question, by the method of the options or that of what was loaded. */
export async function predictRegion(engine: Engine, picture: TakenPicture | OpenedPicture, question: string, options: CheckedPredictOptions): Promise<RoI> {
  const method = chooseMethod(engine, options);
  const gate = gateOf(engine, options.gate, method, "auto");
  const views = viewsOfCall(engine, picture, options);
  const { threshold, signal } = options;
  const clock = new Clock();
  const setting = { views, preamble: await engine.preambleOf(picture, options.system, signal) };
  const tokens = await engine.tokenize(question, 0, signal, setting);
  const used = await engine.usePicture(picture, signal, setting);
  clock.add(used);
  let bytes = 0;
  try {
    const proposed = await METHODS[method](engine, { picture: used.picture, question, tokens, threshold, reserve: 0, gate, forAnswer: false, signal });
    bytes = proposed.bytes;
    clock.addNative(proposed.timings);
    return regionResult(method, proposed, used.picture, clock.stop());
  } finally {
    used.release(bytes);
  }
}
