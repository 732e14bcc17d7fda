import type { Hint } from "../base/hints.js";
import type { Box, Size } from "../base/types.js";
import type { OpenedPicture } from "../engine/opened-picture.js";

/** Pixels of a line of small print, ascenders included, where a sheet of paper is scanned at 200 dpi: 8 points. */
const SMALL_PRINT = 24;

/** Pixels of a view that a letter needs. */
const LEGIBLE = 4;

/**
 * A hint where small print is too small in all that the model sees of a picture.
 *
 * @param looks parts of the picture that are read again, in its pixels
 */
export function printHints({ source, layout, views }: Pick<OpenedPicture, "source" | "layout" | "views">, looks: readonly Box[]): Hint[] {
  const scales = [scaleOf(source, layout.pixels), ...looks.map((box) => scaleOf(box, views.planCrop(box).pixels))];
  const scale = Math.max(...scales);
  if (SMALL_PRINT * scale >= LEGIBLE) {
    return [];
  }
  const read = looks.length > 0 ? "its parts" : "it";
  const larger = views.budget ? ", or views with more tokens (imageTokens)" : "";
  const message =
    `The ${source.width}x${source.height} picture has ${(1 / scale).toFixed(1)} pixels for one of what the model sees of ${read}: text of less than ${Math.ceil(LEGIBLE / scale)} pixels is under ${LEGIBLE} there. ` +
    `Ask with tiles, with boxes for roi, or about a part of the picture${larger}`;
  return [{ code: "SMALL_PRINT", message }];
}

function scaleOf(part: Size, view: Size): number {
  return Math.min(view.width / part.width, view.height / part.height);
}
