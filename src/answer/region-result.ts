import { withJson } from "../base/json.js";
import type { ImageInfo, RegionMethod, RoI, ScoredBox, Timings, ViewInfo } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { cellCount, type ViewLayout } from "../image/view-layout.js";
import { normalizedBox } from "../roi/normalized-box.js";
import type { Proposed } from "./methods/method.js";

/**
 * What a method's map says about a picture.
 *
 * @param region what is read of it; by default what the method found
 */
export function regionResult(
  method: RegionMethod,
  { map, boxes, region: found, gate }: Pick<Proposed, "map" | "boxes" | "region" | "gate">,
  { source, layout, views }: OpenedPicture,
  timings: Timings,
  region = found,
): RoI {
  return withJson({
    method,
    found: found.kind !== "none",
    boxes,
    boxesNormalized: normalizedBoxes(boxes, source.info),
    region: { ...region, view: region.crop && viewInfo(views.planCrop(region.crop)) },
    map: withJson({ ...layout.grid, data: map }), // also where only the map is kept
    gate,
    view: viewInfo(layout),
    image: { ...source.info },
    hints: [],
    timings,
  });
}

function viewInfo(layout: ViewLayout): ViewInfo {
  return { ...layout.pixels, grid: { ...layout.grid }, tokens: cellCount(layout) };
}

function normalizedBoxes(boxes: readonly ScoredBox[], image: ImageInfo): ScoredBox[] {
  return boxes.map((box) => normalizedBox(box, image));
}
