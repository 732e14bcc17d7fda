import { SdRpnError } from "../base/errors.js";
import { writeRegularFile } from "../base/regular-file.js";
import type { Model } from "../model/model.js";
import { renderOverlay } from "../image/overlay.js";
import type { ImageInput, RoI } from "../base/types.js";
import { withIoError } from "./exit.js";

/** @throws {SdRpnError} RPN_NOT_LOADED, before any work is done */
export function checkOverlayPossible(model: Model): void {
  if (model.info.rpn === null) {
    throw new SdRpnError("RPN_NOT_LOADED", "Expected a region proposal network for --overlay: pass the path of one with --rpn");
  }
}

/** @throws {SdRpnError} IO_ERROR */
export async function writeOverlay(model: Model, image: ImageInput, roi: RoI, file: string): Promise<void> {
  const png = await renderOverlay(image, roi, { model: model.info.view });
  await withIoError("write the overlay", () => writeRegularFile(file, png));
}
