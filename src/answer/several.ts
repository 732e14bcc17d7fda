import { SdRpnError } from "../base/errors.js";
import type { Hint } from "../base/hints.js";
import type { PicturePart, RoI } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import { isSeveral, OpenedPictures, type PicturesInUse, type Subject } from "../engine/opened-picture.js";
import type { Looked } from "./look.js";
import type { CheckedAnswerOptions } from "./options.js";

/** Gets a region before its answer; of several pictures also which one it is in, from 0. */
export type OnRoI = (roi: RoI, picture?: number) => void;

/**
 * How many pictures a question is about.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for boxes with a list
 */
export function countOf(subject: Subject, roi: CheckedAnswerOptions["roi"]): number {
  if (!isSeveral(subject)) {
    return 1;
  }
  const { length } = subject instanceof OpenedPictures ? subject.pictures : subject;
  if (Array.isArray(roi)) {
    throw new SdRpnError("INVALID_ARGUMENT", 'Expected roi "auto", "always" or "never" with a list of images but received boxes, which do not say in which of them they are');
  }
  return length;
}

/** What an answer says of each picture. */
export function partsOf({ pictures }: PicturesInUse, looked: readonly Looked[]): PicturePart[] {
  return pictures.map(({ source }, index) => {
    const { roi, views, imageTokens } = looked[index];
    return { roi, usedRoI: views.length > 0, imageTokens, image: { ...source.info } };
  });
}

export function hintsOfPictures({ info: { vision } }: Engine, count: number): Hint[] {
  const message = `This model was trained with one picture at a time but asked about ${count}: ask about each alone, or a model that was trained with several`;
  return count > 1 && vision.family === "llava" ? [{ code: "ONE_PICTURE_MODEL", message }] : [];
}
