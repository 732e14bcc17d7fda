import { withJson } from "../base/json.js";
import type { Box, ImageInfo, RegionMethod, RoI, ScoredBox, Timings, ViewInfo } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { turnBoxBack, turnGridBack } from "../image/turned.js";
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
  // the model saw the picture turned; results are about the picture as given
  const { rotated } = source.info;
  const back = <B extends Box>(box: B): B => turnBoxBack(box, source.info, rotated);
  const { values, ...grid } = turnGridBack(map, layout.grid, rotated);
  const given = boxes.map(back);
  return withJson({
    method,
    found: found.kind !== "none",
    boxes: given,
    boxesNormalized: normalizedBoxes(given, source.info),
    region: { ...region, crop: region.crop && back(region.crop), view: region.crop && viewInfo(views.planCrop(region.crop)) },
    map: withJson({ ...grid, data: values }), // also where only the map is kept
    gate,
    view: viewInfo(layout),
    image: { ...source.info },
    hints: [...source.hints],
    timings,
  });
}

function viewInfo(layout: ViewLayout): ViewInfo {
  return { ...layout.pixels, grid: { ...layout.grid }, tokens: cellCount(layout) };
}

function normalizedBoxes(boxes: readonly ScoredBox[], image: ImageInfo): ScoredBox[] {
  return boxes.map((box) => normalizedBox(box, image));
}
