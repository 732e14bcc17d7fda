import { withJson } from "../base/json.js";
import type { ImageInfo, RoI, ScoredBox, Timings } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { normalizedBox } from "../roi/normalized-box.js";
import { viewOfPicture } from "../roi/options.js";
import { peakRegion } from "../roi/peak-region.js";
import { readMap } from "../roi/propose-region.js";
import { sigmoid } from "../roi/sigmoid.js";

/**
 * What the network's map says about a picture.
 *
 * @param logits one per cell of the picture's grid, row-major
 * @param looksAnyway where nothing passes the threshold the region is that around the map's maximum
 */
export function regionResult(logits: Float32Array, { source, layout }: OpenedPicture, threshold: number, timings: Timings, looksAnyway = false): RoI {
  const data = sigmoid(logits);
  const view = viewOfPicture(layout, source);
  const { boxes, region } = readMap(data, { ...view, threshold });
  const found = region.kind !== "none";
  return withJson({
    found,
    boxes,
    boxesNormalized: normalizedBoxes(boxes, source.info),
    region: !found && looksAnyway ? peakRegion(logits, view).region : region,
    map: withJson({ ...layout.grid, data }), // also where only the map is kept
    image: { ...source.info },
    hints: [],
    timings,
  });
}

function normalizedBoxes(boxes: readonly ScoredBox[], image: ImageInfo): ScoredBox[] {
  return boxes.map((box) => normalizedBox(box, image));
}
