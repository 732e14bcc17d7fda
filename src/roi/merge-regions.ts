import type { Box, Region, ScoredBox } from "../base/types.js";

/** What was found in one window, in the window's pixels. */
export interface WindowRegion {
  window: Box;
  boxes: readonly ScoredBox[];
  region: Region;
}

/** Regions with less than this part of the best one's score are not merged with it. */
const COMPARABLE = 1 / 2;

/** Boxes and regions are about the same place where they share this part of the smaller one. */
const SAME_PLACE = 1 / 2;

/**
 * What overlapping windows found, in pixels of the whole picture: the boxes, best first, each place once, and the region of the
 * best window. Where neighbours found the same place, cut in another way, the region is the rectangle around all of them, read whole.
 */
export function mergeRegions(found: readonly WindowRegion[]): { boxes: ScoredBox[]; region: Region } {
  const boxes: ScoredBox[] = [];
  const all = found.flatMap(({ window, boxes: own }) => own.map((box) => moved(box, window)));
  for (const box of all.sort((a, b) => b.score - a.score)) {
    if (!boxes.some((better) => samePlace(better, box))) {
      boxes.push(box);
    }
  }
  const regions = found.flatMap(({ window, boxes: own, region }) => {
    const { crop } = region;
    return crop ? [{ crop: moved(crop, window), region, score: own.reduce((most, { score }) => Math.max(most, score), 0) }] : [];
  });
  if (regions.length === 0) {
    return { boxes, region: { kind: "none", crop: null, keep: null } };
  }
  const best = regions.reduce((a, b) => (b.score > a.score ? b : a));
  const near = regions.filter((other) => other !== best && other.score >= COMPARABLE * best.score && samePlace(best.crop, other.crop));
  const crop = near.reduce<Box>((box, other) => around(box, other.crop), best.crop);
  return { boxes, region: near.length > 0 ? { kind: "crop", crop, keep: null } : { ...best.region, crop } };
}

function moved<B extends Box>(box: B, { x, y }: Box): B {
  return { ...box, x: box.x + x, y: box.y + y };
}

function samePlace(a: Box, b: Box): boolean {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 && width * height >= SAME_PLACE * Math.min(a.width * a.height, b.width * b.height);
}

function around(a: Box, b: Box): Box {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, width: Math.max(a.x + a.width, b.x + b.width) - x, height: Math.max(a.y + a.height, b.y + b.height) - y };
}
