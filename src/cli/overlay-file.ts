import type { AnswerOptions } from "../answer/options.js";
import { SdRpnError } from "../base/errors.js";
import { writeRegularFile } from "../base/regular-file.js";
import type { Model } from "../model/model.js";
import { renderOverlay } from "../image/overlay.js";
import type { ImageInput, RoI } from "../base/types.js";
import { withIoError } from "./exit.js";

/**
 * Checks that an answer looks for a region, before any work is done.
 *
 * @throws {SdRpnError} RPN_NOT_LOADED
 */
export function checkOverlayPossible({ info }: Model, { roi, method }: Pick<AnswerOptions, "roi" | "method">): void {
  if (info.rpn === null && method === undefined && !(roi === "always" && info.heads)) {
    throw new SdRpnError("RPN_NOT_LOADED", "Expected something that finds a region for --overlay: pass the path of a network with --rpn, or --method vicrop, which needs none");
  }
}

/** @throws {SdRpnError} IO_ERROR */
export async function writeOverlay(model: Model, image: ImageInput, roi: RoI, file: string): Promise<void> {
  // LLaVA sees the picture in the middle of its view; the views of other families have the picture's own proportions
  const png = await renderOverlay(image, roi, { model: model.info.family === "llava" ? model.info.view : roi.image });
  await withIoError("write the overlay", () => writeRegularFile(file, png));
}
