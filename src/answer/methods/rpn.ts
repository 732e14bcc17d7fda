import type { Engine } from "../../engine/engine.js";
import { viewOfPicture } from "../../roi/options.js";
import { peakOf } from "../../roi/peak-region.js";
import { readMap } from "../../roi/propose-region.js";
import { sigmoid } from "../../roi/sigmoid.js";
import type { Asked, Proposed } from "./method.js";

/** The region proposal network: layers 0..K-1 over the prompt, then the network (SD-RPN, arXiv 2509.16944, section 3). */
export async function proposeByNetwork(engine: Engine, { picture, tokens, threshold, reserve, signal }: Asked): Promise<Proposed> {
  const { logits, timings, bytes, reused } = await engine.roi(picture.session.id, tokens, reserve, signal);
  const map = sigmoid(logits);
  const view = viewOfPicture(picture.layout, picture.source);
  const { boxes, region } = readMap(map, { ...view, threshold: threshold ?? engine.defaultThreshold });
  return { map, boxes, region, likeliest: () => peakOf(map, view).region, timings, bytes, reused };
}
