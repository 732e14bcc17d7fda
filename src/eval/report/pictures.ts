import sharp from "sharp";
import { type Picture, openPicture } from "../../image/picture.js";
import { pixelsOfGrid } from "../../image/view-layout.js";
import { renderOverlay } from "../../image/overlay.js";
import { runSharp } from "../../image/sharp-queue.js";
import type { Box, HeatMap, Size } from "../../base/types.js";
import type { EvalItem } from "../task.js";
import { asReference } from "../../image/taken-picture.js";

/** Longest sides in pixels of what the page shows. */
const PICTURE_SIDE = 360;
const CROP_SIDE = 220;

/** An item's picture, ready for the page. */
export class ItemPicture {
  private constructor(
    private readonly picture: Picture,
    private readonly small: { data: Buffer; width: number; height: number; channels: 3 },
  ) {}

  /** @throws {SdRpnError} IMAGE_INVALID, IMAGE_TOO_LARGE */
  static async open({ image }: EvalItem): Promise<ItemPicture> {
    const picture = await openPicture(asReference(typeof image === "string" ? image : await image()));
    const { data, width, height } = picture.pixels();
    const size = fit({ width, height }, PICTURE_SIDE);
    const whole = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
    const small = await runSharp(() => whole.resize(size.width, size.height, { fit: "fill" }).raw().toBuffer());
    return new ItemPicture(picture, { data: small, ...size, channels: 3 });
  }

  /** The picture alone, as a data URL. */
  async plain(): Promise<string> {
    return toUrl(sharp(this.small.data, { raw: this.small }));
  }

  /** The picture with heat map and boxes. `longest`: the longer side of the model's view in pixels */
  async overlay(map: HeatMap | null, boxes: readonly Box[], grid: Size, longest: number): Promise<string> {
    const scale = this.small.width / this.picture.width;
    const scaled = boxes.map(({ x, y, width, height }) => ({ x: x * scale, y: y * scale, width: width * scale, height: height * scale, score: 1 }));
    const heat = map ?? { ...grid, data: new Float32Array(grid.width * grid.height) };
    const png = await renderOverlay(this.small, { map: heat, boxes: scaled, region: { kind: "none", crop: null, keep: null } }, { model: pixelsOfGrid(grid, longest) });
    return toUrl(sharp(png));
  }

  /** What the model was shown of a region, at the picture's own aspect ratio. */
  async crop(box: Box): Promise<string> {
    const { data, width, height } = this.picture.pixels();
    const left = Math.max(0, Math.min(width - 1, Math.trunc(box.x)));
    const top = Math.max(0, Math.min(height - 1, Math.trunc(box.y)));
    const area = { left, top, width: Math.max(1, Math.min(width - left, Math.trunc(box.width))), height: Math.max(1, Math.min(height - top, Math.trunc(box.height))) };
    const size = fit(area, CROP_SIDE);
    const image = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false }).extract(area);
    return toUrl(image.resize(size.width, size.height, { fit: "fill" }));
  }
}

function fit({ width, height }: Size, side: number): Size {
  const scale = side / Math.max(width, height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

async function toUrl(image: sharp.Sharp): Promise<string> {
  const jpeg = await runSharp(() => image.jpeg({ quality: 80 }).toBuffer());
  return `data:image/jpeg;base64,${jpeg.toString("base64")}`;
}
