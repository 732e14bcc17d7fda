import { withJson } from "../base/json.js";
import type { ImageInfo, RegionMethod, RoI, ScoredBox, Timings } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { normalizedBox } from "../roi/normalized-box.js";
import type { Proposed } from "./methods/method.js";

/**
 * What a method's map says about a picture.
 *
 * @param looksAnyway where nothing passes the threshold the region is the likeliest place
 */
export function regionResult(
  method: RegionMethod,
  { map, boxes, region, likeliest }: Proposed,
  { source, layout }: OpenedPicture,
  timings: Timings,
  looksAnyway = false,
): RoI {
  const found = region.kind !== "none";
  return withJson({
    method,
    found,
    boxes,
    boxesNormalized: normalizedBoxes(boxes, source.info),
    region: !found && looksAnyway ? likeliest() : region,
    map: withJson({ ...layout.grid, data: map }), // also where only the map is kept
    image: { ...source.info },
    hints: [],
    timings,
  });
}

function normalizedBoxes(boxes: readonly ScoredBox[], image: ImageInfo): ScoredBox[] {
  return boxes.map((box) => normalizedBox(box, image));
}
