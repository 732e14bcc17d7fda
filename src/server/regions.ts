import type { Hint } from "../base/hints.js";
import type { Answer, Box, ImageInfo, RoI, Size, Timings } from "../base/types.js";

/** A region as an annotation of an answer. */
export interface ImageRegion {
  type: "image_region";
  image_region: {
    /** which of the request's pictures, from 0 */
    image_index: number;
    /** left, top, right and bottom in parts of the picture, 0..1 */
    box: [number, number, number, number];
    /** the same in pixels, after EXIF rotation */
    box_px: [number, number, number, number];
    /** what the method says of it, 0..1; null for boxes that the request named and for a place that did not pass the threshold */
    score: number | null;
    /** whether the answer was given with a second look there */
    used: boolean;
  };
}

/** The service's own part of an answer. */
export interface OwnPart {
  image: ImageInfo | null;
  found: boolean;
  region: RoI["region"] | null;
  hints: Hint[];
  timings: Timings | null;
  /** of several pictures: each of them */
  pictures?: { image: ImageInfo; found: boolean; region: RoI["region"] | null; used: boolean }[];
  map?: { width: number; height: number; data: number[] };
  /** a data URI */
  overlay?: string;
  confidence?: number;
}

/** Of a region that was looked for. Where nothing passed and a place is read all the same, that place. */
export function regionsOf(roi: RoI, used: boolean, index: number): ImageRegion[] {
  const { boxes, region, image } = roi;
  const all: { box: Box; score: number | null }[] = boxes.length > 0 ? boxes.map((box) => ({ box, score: box.score })) : region.crop ? [{ box: region.crop, score: null }] : [];
  return all.map(({ box, score }) => annotation(box, image, index, score, used));
}

/** All regions of an answer; `given` are boxes that the request named. */
export function regionsOfAnswer(answer: Answer, given: readonly Box[] | undefined): ImageRegion[] {
  if (given) {
    return given.map((box) => annotation(box, answer.image, 0, null, true));
  }
  const parts = answer.pictures ?? [{ roi: answer.roi, usedRoI: answer.usedRoI }];
  return parts.flatMap(({ roi, usedRoI }, index) => (roi ? regionsOf(roi, usedRoI, index) : []));
}

export function ownPartOf(answer: Answer, more: Pick<OwnPart, "overlay"> & { map: boolean }): OwnPart {
  const { roi, image, hints, timings, pictures, confidence } = answer;
  return {
    image,
    found: roi?.found ?? false,
    region: roi?.region ?? null,
    hints,
    timings,
    ...(pictures && pictures.length > 1 && { pictures: pictures.map((part) => ({ image: part.image, found: part.roi?.found ?? false, region: part.roi?.region ?? null, used: part.usedRoI })) }),
    ...(more.map && roi && { map: mapOf(roi) }),
    ...(more.overlay !== undefined && { overlay: more.overlay }),
    ...(confidence !== undefined && { confidence }),
  };
}

export function mapOf({ map: { width, height, data } }: RoI): { width: number; height: number; data: number[] } {
  return { width, height, data: Array.from(data, (value) => Number(value.toFixed(4))) };
}

function annotation({ x, y, width, height }: Box, image: Size, index: number, score: number | null, used: boolean): ImageRegion {
  const px: [number, number, number, number] = [x, y, x + width, y + height];
  const part = (value: number, side: number): number => Math.min(1, Math.max(0, value / side));
  return {
    type: "image_region",
    image_region: { image_index: index, box: [part(px[0], image.width), part(px[1], image.height), part(px[2], image.width), part(px[3], image.height)], box_px: px, score, used },
  };
}
