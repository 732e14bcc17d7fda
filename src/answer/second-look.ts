import { SdRpnError } from "../base/errors.js";
import type { Box, RoI, Size } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { type Engine, wholeView } from "../engine/engine.js";
import type { NativeView } from "../native/binding.js";
import { throwIfAborted } from "../base/abort.js";

/** One region of a picture for a second look. */
export interface Look {
  box: Box;
  /** cells of the crop's own grid whose tokens are fed; null: all */
  keep: Int32Array | null;
}

/** The second look at the region of a result, if it has one. */
export function looksOfRegion({ region }: Pick<RoI, "region">): Look[] {
  return region.crop ? [{ box: region.crop, keep: region.keep && Int32Array.from(region.keep) }] : [];
}

/**
 * A second look at each of the caller's boxes, clipped to the picture.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where one lies outside
 */
export function looksAtBoxes(boxes: readonly Box[], { source }: OpenedPicture): Look[] {
  return boxes.map((box) => ({ box: inside(box, source), keep: null }));
}

/** Cuts the regions out of the picture and scales each to its view. */
export async function cutViews(engine: Engine, { source }: OpenedPicture, looks: readonly Look[], signal?: AbortSignal): Promise<NativeView[]> {
  const views: NativeView[] = [];
  for (const { box, keep } of looks) {
    throwIfAborted(signal);
    const layout = engine.plan(box);
    views.push({ ...wholeView(await source.crop(box, layout.pixels), layout), keep });
  }
  return views;
}

function inside({ x, y, width, height }: Box, picture: Size): Box {
  const left = Math.max(0, Math.floor(x));
  const top = Math.max(0, Math.floor(y));
  const right = Math.min(picture.width, Math.ceil(x + width));
  const bottom = Math.min(picture.height, Math.ceil(y + height));
  if (left >= right || top >= bottom) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected boxes that overlap the ${picture.width}x${picture.height} picture for roi but received one at ${x},${y} of size ${width}x${height}`,
    );
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}
