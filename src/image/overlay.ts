import sharp from "sharp";
import { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import { parseOptions } from "../base/validate.js";
import { openPicture } from "./picture.js";
import type { Color, RgbPixels } from "./resample.js";
import { pixelsOfGrid } from "./view-layout.js";
import { runSharp } from "./sharp-queue.js";
import { imageOptionsShape, takePicture } from "./taken-picture.js";
import type { Box, HeatMap, ImageInput, ImageOptions, Region, ScoredBox, Size } from "../base/types.js";

/** What a drawing needs of a result. */
export interface DrawnRegion {
  map: HeatMap;
  boxes: ScoredBox[];
  region: Region;
  /** of the result: which of the file's pages it is about, and how a PDF was drawn */
  image?: { page: number; dpi?: number };
  /** of the result: windows that were asked one by one; the map covers the picture edge to edge then */
  tiles?: readonly object[] | null;
}

/** `background`: as in the call that gave the result. `dpi`: of a PDF, where the drawing says nothing of it (`image.dpi`). */
export interface OverlayOptions extends Pick<ImageOptions, "background" | "dpi"> {
  /** opacity of the heat where the probability is 1, 0..1; default 0.4 */
  opacity?: number;
  /** the model's input size in pixels; default 14 pixels a cell of the map */
  model?: Size;
  /** the most pixels the picture may have; default 100 million */
  maxImagePixels?: number;
}

const size = z.object({ width: z.number().positive(), height: z.number().positive() });
const overlaySchema = z.strictObject({
  opacity: z.number().min(0).max(1).default(0.4),
  model: size.optional(),
  maxImagePixels: z.int().min(1).optional(),
  background: imageOptionsShape.background,
  dpi: imageOptionsShape.dpi,
});

/** Matplotlib's plasma from a quarter on: its dark blue start would look like a shadow, and the heat is transparent there anyway. */
const RAMP: readonly Color[] = [
  [126, 3, 168],
  [168, 34, 150],
  [204, 71, 120],
  [230, 108, 92],
  [248, 149, 64],
  [253, 195, 40],
  [240, 249, 33],
];

const BOX_COLOR: Color = [0, 229, 255];
const CROP_COLOR: Color = [255, 255, 255];
const EDGE_COLOR: Color = [16, 16, 24];

/** Below this probability a cell is left as it is, so that the background noise of a map does not tint the picture. */
const CLEAR_BELOW = 0.03;

/** The longest side of the heat layer before it is enlarged to the picture: ample for maps of some tens of cells. */
const HEAT_SIDE = 768;

/**
 * Draws what the region proposal network saw over the picture: its probabilities as a heat map, its boxes as solid
 * outlines, and around the crop that the second look reads a dashed outline. The map covers the picture as the model
 * saw it, in the middle of its view; cells of the padding fall outside.
 *
 * @returns the bytes of a PNG file, of the picture's size after EXIF rotation
 * @throws SdRpnError `INVALID_ARGUMENT` if the map's data does not have width x height values; for the picture as
 * {@link openPicture}
 */
export async function renderOverlay(image: ImageInput, roi: DrawnRegion, options: OverlayOptions = {}): Promise<Buffer> {
  const { map, boxes, region } = roi;
  const { opacity, model: view, maxImagePixels, background, dpi } = parseOptions(overlaySchema, options);
  const drawn = roi.image?.dpi;
  if (dpi !== undefined && drawn !== undefined && dpi !== drawn) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected dpi ${drawn}, with which the page was read, but received ${dpi}: the boxes would lie elsewhere, leave it out`);
  }
  if (!(map.width > 0 && map.height > 0) || map.data.length !== map.width * map.height) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected width x height values for map.data but received ${map.data.length} for ${map.width}x${map.height}`,
    );
  }
  const picture = (await openPicture(takePicture(image, { background, page: roi.image?.page, dpi: dpi ?? drawn }), { maxImagePixels })).pixels();
  const model = roi.tiles ? picture : (view ?? pixelsOfGrid(map));
  const canvas = await layHeat(picture, map, model, opacity);

  const line = Math.max(1, Math.round(Math.sqrt(picture.width * picture.height) / 400));
  // The crop is often one of the boxes: it is drawn further out, so that both are visible.
  if (region.crop !== null) drawOutline(canvas, region.crop, line * 3, line, CROP_COLOR, line * 5);
  for (const box of boxes) drawOutline(canvas, box, 0, line, BOX_COLOR, null);
  const outlined = sharp(canvas.data, { raw: { width: canvas.width, height: canvas.height, channels: 3 }, limitInputPixels: false });
  return runSharp(() => outlined.png().toBuffer());
}

/** Blends the heat over a copy of the picture. The expensive part is done by sharp, off the event loop. */
async function layHeat(picture: RgbPixels, map: HeatMap, model: Size, opacity: number): Promise<RgbPixels> {
  const { width, height } = picture;
  const shrink = Math.min(1, HEAT_SIDE / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * shrink)), height: Math.max(1, Math.round(height * shrink)) };
  const heat = sharp(paintHeat(map, model, picture, size, opacity), { raw: { ...size, channels: 4 } });
  const enlarged = await runSharp(() => heat.resize(width, height, { fit: "fill", kernel: "linear" }).raw().toBuffer());
  const blended = sharp(picture.data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .composite([{ input: enlarged, raw: { width, height, channels: 4 }, limitInputPixels: false }])
    .removeAlpha();
  const data = await runSharp(() => blended.raw().toBuffer());
  return { data, width, height, channels: 3 };
}

/**
 * The heat layer for the whole picture at `size`, RGBA. The geometry is that of the boxes: the picture is scaled by
 * r = min(model / picture) and lies in the middle of the model's input, of which each cell covers an equal part.
 */
function paintHeat(map: HeatMap, model: Size, picture: Size, size: Size, opacity: number): Buffer {
  const scale = Math.min(model.width / picture.width, model.height / picture.height);
  const axisTaps = (axis: "width" | "height") => {
    const padding = (model[axis] - Math.trunc(picture[axis] * scale)) / 2;
    return Array.from({ length: size[axis] }, (_, i) => {
      const source = ((i + 0.5) / size[axis]) * picture[axis];
      return cubicTaps(((source * scale + padding) / model[axis]) * map[axis], map[axis]);
    });
  };
  const columns = axisTaps("width");
  const rows = axisTaps("height");
  const widened = new Float32Array(map.height * size.width);
  for (let y = 0; y < map.height; y++) {
    for (let x = 0; x < size.width; x++) {
      widened[y * size.width + x] = columns[x].reduce((sum, { cell, weight }) => sum + weight * map.data[y * map.width + cell], 0);
    }
  }
  const palette = heatPalette(opacity);
  const layer = Buffer.alloc(size.width * size.height * 4);
  for (let y = 0; y < size.height; y++) {
    const [a, b, c, d] = rows[y].map(({ cell, weight }) => ({ row: cell * size.width, weight }));
    for (let x = 0; x < size.width; x++) {
      const probability =
        a.weight * widened[a.row + x] + b.weight * widened[b.row + x] + c.weight * widened[c.row + x] + d.weight * widened[d.row + x];
      const level = Math.round(Math.min(1, Math.max(0, probability)) * 255);
      palette.copy(layer, (y * size.width + x) * 4, level * 4, level * 4 + 4);
    }
  }
  return layer;
}

/**
 * Catmull-Rom weights of the four cells around a position, 0 being the border of the first cell. It goes through the
 * cells' own values at their centres; beyond the outermost centres the map is continued flat.
 */
function cubicTaps(position: number, count: number): { cell: number; weight: number }[] {
  const inside = Math.min(count - 1, Math.max(0, position - 0.5));
  const before = Math.floor(inside);
  const t = inside - before;
  const weights = [((2 - t) * t - 1) * t, (3 * t - 5) * t * t + 2, ((4 - 3 * t) * t + 1) * t, (t - 1) * t * t];
  return weights.map((weight, k) => ({ cell: Math.min(count - 1, Math.max(0, before - 1 + k)), weight: weight / 2 }));
}

/** RGBA for probabilities 0/255 .. 255/255. */
function heatPalette(opacity: number): Buffer {
  const palette = Buffer.alloc(256 * 4);
  for (let level = 0; level < 256; level++) {
    const probability = level / 255;
    const stop = Math.min(RAMP.length - 2, Math.floor(probability * (RAMP.length - 1)));
    const t = probability * (RAMP.length - 1) - stop;
    for (let c = 0; c < 3; c++) palette[level * 4 + c] = Math.round(RAMP[stop][c] * (1 - t) + RAMP[stop + 1][c] * t);
    const visible = Math.max(0, (probability - CLEAR_BELOW) / (1 - CLEAR_BELOW));
    palette[level * 4 + 3] = Math.round(255 * opacity * visible * (2 - visible));
  }
  return palette;
}

/**
 * Draws a rectangle's outline, `line` pixels thick, around the box grown by `gap`, with a thin dark edge on either side
 * so that it is visible on any background. It is kept inside the picture. `dash` is the length of dashes, null for a solid line.
 */
function drawOutline(canvas: RgbPixels, box: Box, gap: number, line: number, color: Color, dash: number | null): void {
  const edge = Math.ceil(line / 3);
  const reach = gap + line + edge;
  const left = Math.max(0, Math.round(box.x) - reach);
  const top = Math.max(0, Math.round(box.y) - reach);
  const right = Math.min(canvas.width, Math.round(box.x + box.width) + reach);
  const bottom = Math.min(canvas.height, Math.round(box.y + box.height) + reach);
  // Rings of one pixel from the outside in: edge, line, edge.
  for (let ring = 0; ring < line + 2 * edge; ring++) {
    const inner = { left: left + ring, top: top + ring, right: right - ring - 1, bottom: bottom - ring - 1 };
    if (inner.left > inner.right || inner.top > inner.bottom) return;
    const isEdge = ring < edge || ring >= line + edge;
    for (let x = inner.left; x <= inner.right; x++) {
      const ink = isEdge || isGap(x - left, dash) ? EDGE_COLOR : color;
      setPixel(canvas, x, inner.top, ink);
      setPixel(canvas, x, inner.bottom, ink);
    }
    for (let y = inner.top; y <= inner.bottom; y++) {
      const ink = isEdge || isGap(y - top, dash) ? EDGE_COLOR : color;
      setPixel(canvas, inner.left, y, ink);
      setPixel(canvas, inner.right, y, ink);
    }
  }
}

function isGap(along: number, dash: number | null): boolean {
  return dash !== null && Math.floor(along / dash) % 2 === 1;
}

function setPixel({ data, width }: RgbPixels, x: number, y: number, color: Color): void {
  data.set(color, (y * width + x) * 3);
}
