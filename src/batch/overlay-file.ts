import { SdRpnError } from "../base/errors.js";
import { writeRegularFile } from "../base/regular-file.js";
import type { ImageInput, ImageOptions, RoI } from "../base/types.js";
import { renderOverlay } from "../image/overlay.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";

/** Draws a region into a PNG file; the picture is read as its call has read it. @throws {SdRpnError} IO_ERROR; as `renderOverlay` */
export async function writeOverlay(model: Model, image: ImageInput, roi: RoI, file: string, { background }: Pick<ImageOptions, "background"> = {}): Promise<void> {
  // LLaVA sees the picture in the middle of its view; the views of other families have the picture's own proportions
  const view = model.info.family === "llava" ? model.info.view : roi.image;
  const { maxImagePixels } = engineOf(model).limits;
  const png = await renderOverlay(image, roi, { model: view, background, maxImagePixels });
  try {
    await writeRegularFile(file, png);
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot write the overlay: ${(error as Error).message}`, { cause: error });
  }
}
