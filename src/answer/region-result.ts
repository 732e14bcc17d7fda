import { withJson } from "../base/json.js";
import type { Box, ImageInfo, RegionMethod, RoI, RoITile, ScoredBox, Size, Timings, ViewInfo } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { turnBoxBack, turnGridBack } from "../image/turned.js";
import { cellCount, type ViewLayout } from "../image/view-layout.js";
import { normalizedBox } from "../roi/normalized-box.js";
import type { Proposed } from "./methods/method.js";
import { printHints } from "./print-hints.js";

/** What a map lies over, where that is not the view of the whole picture. */
export interface SeenMap {
  /** in cells, edge to edge over the picture */
  grid: Size;
  /** of each window */
  layout: ViewLayout;
  /** in pixels of the picture that the model saw */
  tiles: RoITile[];
}

/**
 * What a method's map says about a picture.
 *
 * @param region what is read of it; by default what the method found
 */
export function regionResult(
  method: RegionMethod,
  { map, boxes, region: found, gate, seen }: Pick<Proposed, "map" | "boxes" | "region" | "gate"> & { seen?: SeenMap },
  picture: Pick<OpenedPicture, "source" | "layout" | "views">,
  timings: Timings,
  region = found,
): RoI {
  const { source, layout, views } = picture;
  // the model saw the picture turned; results are about the picture as given
  const { rotated } = source.info;
  const back = <B extends Box>(box: B): B => turnBoxBack(box, source.info, rotated);
  const { values, ...grid } = turnGridBack(map, seen?.grid ?? layout.grid, rotated);
  const given = boxes.map(back);
  return withJson({
    method,
    found: found.kind !== "none",
    boxes: given,
    boxesNormalized: normalizedBoxes(given, source.info),
    region: { ...region, crop: region.crop && back(region.crop), view: region.crop && viewInfo(views.planCrop(region.crop)) },
    map: withJson({ ...grid, data: values }), // also where only the map is kept
    gate,
    view: viewInfo(seen?.layout ?? layout),
    tiles: seen ? seen.tiles.map(({ box, ...tile }) => ({ box: back(box), ...tile })) : null,
    image: { ...source.info },
    hints: [...source.hints, ...printHints(picture, region.crop ? [region.crop] : [])],
    timings,
  });
}

function viewInfo(layout: ViewLayout): ViewInfo {
  return { ...layout.pixels, grid: { ...layout.grid }, tokens: cellCount(layout) };
}

function normalizedBoxes(boxes: readonly ScoredBox[], image: ImageInfo): ScoredBox[] {
  return boxes.map((box) => normalizedBox(box, image));
}
