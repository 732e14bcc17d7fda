import type { Box, Size } from "../base/types.js";

/** What neighbouring windows share, as a part of their length: what is smaller than that is whole in one of them. */
const OVERLAP = 1 / 4;

/** Pictures up to this times as long as wide lose little in one view: sheets of paper are 1.41 times. */
const SQUARE_ENOUGH = 1.5;

/** The most windows that "auto" takes; beyond it they become longer than wide. */
const MOST = 16;

/**
 * Equal windows over a picture, row by row, each to be seen in a view of its own. Neighbours share a quarter or more, and the first and
 * last end at the picture's borders.
 *
 * @param tiles "auto": squares along the longer side of a picture more than 1.5 times as long as wide, at most 16, otherwise one window. A number:
 *   the most windows; they are arranged in the rows and columns that make their longer side as short as can be, with as few windows as do that
 * @returns boxes in whole pixels; one, the whole picture, where more would show nothing larger
 */
export function tileWindows(picture: Size, tiles: "auto" | number): Box[] {
  const [short, long] = [Math.min(picture.width, picture.height), Math.max(picture.width, picture.height)];
  if (tiles !== "auto") {
    return windowsOf(picture, arrange(picture, tiles));
  }
  const squares = Math.ceil((long / short - OVERLAP) / (1 - OVERLAP));
  const count = long > SQUARE_ENOUGH * short ? Math.min(MOST, squares) : 1;
  return windowsOf(picture, picture.width > picture.height ? { columns: count, rows: 1 } : { columns: 1, rows: count });
}

interface Arrangement {
  columns: number;
  rows: number;
}

function arrange(picture: Size, most: number): Arrangement {
  const side = ({ columns, rows }: Arrangement) => Math.max(lengthOf(picture.width, columns), lengthOf(picture.height, rows));
  let best: Arrangement = { columns: 1, rows: 1 };
  for (let rows = 1; rows <= most; rows++) {
    for (let columns = 1; rows * columns <= most; columns++) {
      const [shorter, fewer] = [side({ columns, rows }) - side(best), rows * columns - best.rows * best.columns];
      if (shorter < 0 || (shorter === 0 && fewer < 0)) {
        best = { columns, rows };
      }
    }
  }
  return best;
}

/** The length of `count` windows that cover a side with their overlaps. */
function lengthOf(side: number, count: number): number {
  return Math.ceil(side / (1 + (1 - OVERLAP) * (count - 1)));
}

function windowsOf(picture: Size, { columns, rows }: Arrangement): Box[] {
  // no window is longer than wide without need: its view would have padding where pixels could be
  const [w, h] = [lengthOf(picture.width, columns), lengthOf(picture.height, rows)];
  const width = Math.min(picture.width, Math.max(w, h));
  const height = Math.min(picture.height, Math.max(w, h));
  const boxes: Box[] = [];
  for (const y of starts(picture.height, height, rows)) {
    for (const x of starts(picture.width, width, columns)) {
      boxes.push({ x, y, width, height });
    }
  }
  return boxes;
}

function starts(side: number, length: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => (count === 1 ? 0 : Math.round((index * (side - length)) / (count - 1))));
}
