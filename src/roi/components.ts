import type { Size } from "../base/types.js";

/** A rectangle of cells: `[x0, y0, x1, y1]`, the maxima exclusive. */
export type GridBox = [x0: number, y0: number, x1: number, y1: number];

/** Connected cells: they touch at sides or corners. */
export interface Component {
  /** number of cells */
  area: number;
  box: GridBox;
}

/** The components (8-connectivity) of a row-major mask, in raster order of their first cells. */
export function components(mask: ArrayLike<boolean>, { width, height }: Size): Component[] {
  const seen = new Uint8Array(width * height);
  const found: Component[] = [];
  for (let start = 0; start < width * height; start++) {
    if (!mask[start] || seen[start]) {
      continue;
    }
    const component: Component = { area: 0, box: [width, height, 0, 0] };
    const pending = [start];
    seen[start] = 1;
    for (let cell = pending.pop(); cell !== undefined; cell = pending.pop()) {
      const x = cell % width;
      const y = (cell - x) / width;
      component.area++;
      component.box = enclose(component.box, x, y);
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const neighbour = row * width + column;
          if (mask[neighbour] && !seen[neighbour]) {
            seen[neighbour] = 1;
            pending.push(neighbour);
          }
        }
      }
    }
    found.push(component);
  }
  return found;
}

/** The smallest box that holds all set cells of a row-major mask, or null where there is none. */
export function enclosingBox(mask: ArrayLike<boolean>, { width, height }: Size): GridBox | null {
  let box: GridBox = [width, height, 0, 0];
  for (let cell = 0; cell < width * height; cell++) {
    if (mask[cell]) {
      box = enclose(box, cell % width, Math.floor(cell / width));
    }
  }
  return box[2] > 0 ? box : null;
}

function enclose([x0, y0, x1, y1]: GridBox, x: number, y: number): GridBox {
  return [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x + 1), Math.max(y1, y + 1)];
}
