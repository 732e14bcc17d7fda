import { z } from "zod";
import type { Size } from "../base/types.js";
import { pixelsOfGrid, type ViewLayout } from "../image/view-layout.js";

const size = z.strictObject({ width: z.int().min(1), height: z.int().min(1) });

/** What the peak region needs: the grid of the map, the picture's size, and the size of the model's view. */
export const viewSchema = z.strictObject({ grid: size, image: size, model: size.optional() });

export const roiSchema = viewSchema.extend({
  threshold: z.number().min(-1).max(1),
  minArea: z.number().nonnegative().optional(),
  maxArea: z.number().nonnegative().optional(),
});

/** `grid` in cells; `image` and `model` in pixels, `model` being 14 pixels a cell unless given. */
export interface ViewOptions {
  grid: Size;
  image: Size;
  model?: Size;
}

/** The sizes of one view, complete. */
export type View = Required<ViewOptions>;

/** Options of turning a map into boxes and a region. */
export interface RoIOptions extends ViewOptions {
  /**
   * A cell is foreground where its blurred probability exceeds this, 0..1. A negative threshold is relative: the blurred
   * probability must exceed `|threshold|` times the greatest one.
   */
  threshold: number;
  /** Components of fewer cells are widened, single cells dropped; by default max(1, round(4 cells / 576)). */
  minArea?: number;
  /** Components of more cells are dropped; by default round(225 cells / 576). */
  maxArea?: number;
}

/** The view of checked options. */
export function viewOf({ grid, image, model }: ViewOptions): View {
  return { grid, image, model: model ?? pixelsOfGrid(grid) };
}

/** The view that a model has of a picture. Where the picture fills it, the picture's own pixels do as the view's. */
export function viewOfPicture({ grid, pixels, stretched }: ViewLayout, { width, height }: Size): View {
  return { grid, image: { width, height }, model: stretched ? { width, height } : pixels };
}
