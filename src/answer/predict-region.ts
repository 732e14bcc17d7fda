import type { ImageInput, RoI } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { Clock } from "./clock.js";
import type { PredictOptions } from "./options.js";
import { regionResult } from "./region-result.js";

/** The region of a question: layers 0..K-1 over the prompt, then the RPN (SD-RPN, arXiv 2509.16944, section 3). */
export async function predictRegion(engine: Engine, picture: ImageInput | OpenedPicture, question: string, options: PredictOptions): Promise<RoI> {
  engine.requireRpn();
  const clock = new Clock();
  const tokens = await engine.tokenize(question, 0, options.signal);
  const used = await engine.usePicture(picture, options.signal);
  clock.add(used);
  let bytes = 0;
  try {
    const result = await engine.roi(used.picture.session.id, tokens, 0, options.signal);
    bytes = result.bytes;
    clock.addNative(result.timings);
    return regionResult(result.logits, used.picture, options.threshold ?? engine.defaultThreshold, clock.stop());
  } finally {
    used.release(bytes);
  }
}
