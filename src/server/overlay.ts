import type { ImageInput, ImageOptions, RoI } from "../base/types.js";
import { renderOverlay } from "../image/overlay.js";
import type { Model } from "../model/model.js";

/** A region drawn over its picture, which is read as it was for it, as a data URI of a PNG. */
export async function overlayUri(model: Model, picture: ImageInput, roi: RoI, { background }: Pick<ImageOptions, "background"> = {}): Promise<string> {
  // LLaVA sees the picture in the middle of its view; the views of other families have the picture's own proportions
  const view = model.info.family === "llava" ? model.info.view : roi.image;
  // the picture has passed the model's limit by now
  const png = await renderOverlay(picture, roi, { model: view, background, maxImagePixels: Number.MAX_SAFE_INTEGER });
  return `data:image/png;base64,${png.toString("base64")}`;
}
