import { SdRpnError } from "../base/errors.js";
import { writeRegularFile } from "../base/regular-file.js";
import type { ImageInput, RoI } from "../base/types.js";
import { renderOverlay } from "../image/overlay.js";
import type { Model } from "../model/model.js";

/** Draws a region into a PNG file. @throws {SdRpnError} IO_ERROR; as `renderOverlay` */
export async function writeOverlay(model: Model, image: ImageInput, roi: RoI, file: string): Promise<void> {
  // LLaVA sees the picture in the middle of its view; the views of other families have the picture's own proportions
  const png = await renderOverlay(image, roi, { model: model.info.family === "llava" ? model.info.view : roi.image });
  try {
    await writeRegularFile(file, png);
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot write the overlay: ${(error as Error).message}`, { cause: error });
  }
}
