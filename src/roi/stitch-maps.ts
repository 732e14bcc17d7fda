import type { Box, Size } from "../base/types.js";
import { scaleOf } from "./geometry.js";
import type { View } from "./options.js";

/** The map of one window, row-major over the view's grid. */
export interface WindowMap {
  window: Box;
  map: Float32Array;
}

/**
 * One map of the maps of equal windows, edge to edge over the picture, with cells as large as theirs; where windows overlap, the
 * greatest value counts.
 *
 * @param view of every window
 * @returns row-major
 */
export function stitchMaps(picture: Size, view: View, maps: readonly WindowMap[]): { map: Float32Array; grid: Size } {
  const scale = scaleOf(view);
  const cell = (axis: "width" | "height") => view.model[axis] / view.grid[axis] / scale;
  const grid = { width: Math.max(1, Math.round(picture.width / cell("width"))), height: Math.max(1, Math.round(picture.height / cell("height"))) };
  const map = new Float32Array(grid.width * grid.height);
  for (const { window, map: own } of maps) {
    // where a cell's centre lies in the window's grid
    const across = (axis: "width" | "height", start: number, index: number): number => {
      const inWindow = ((index + 0.5) / grid[axis]) * picture[axis] - start;
      const padding = (view.model[axis] - view.image[axis] * scale) / 2;
      return inWindow < 0 || inWindow >= view.image[axis] ? -1 : Math.floor(((inWindow * scale + padding) / view.model[axis]) * view.grid[axis]);
    };
    const columns = Array.from({ length: grid.width }, (_, x) => across("width", window.x, x));
    for (let y = 0; y < grid.height; y++) {
      const row = across("height", window.y, y);
      if (row < 0) {
        continue;
      }
      for (const [x, column] of columns.entries()) {
        if (column >= 0) {
          const at = y * grid.width + x;
          map[at] = Math.max(map[at], own[row * view.grid.width + column]);
        }
      }
    }
  }
  return { map, grid };
}
