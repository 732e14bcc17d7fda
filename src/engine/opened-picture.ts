import type { ImageInput, ImageOptions } from "../base/types.js";
import type { Picture } from "../image/picture.js";
import { type TakenPicture, takePicture } from "../image/taken-picture.js";
import type { ViewLayout } from "../image/view-layout.js";
import type { SessionHandle } from "./session-cache.js";
import type { Views } from "./views.js";

/** A picture in front of the model: its pixels, how it lies in its view, and the native session that holds its state. */
export class OpenedPicture {
  constructor(
    readonly source: Picture,
    readonly layout: ViewLayout,
    /** how its crops are seen */
    readonly views: Views,
    readonly session: SessionHandle,
    /** of a picture that `model.open` has opened: aborted when its session is disposed */
    readonly closing?: AbortSignal,
  ) {}
}

/** Several pictures in front of the model, in order, and the session in which all of them are. */
export class OpenedPictures {
  constructor(
    readonly pictures: readonly OpenedPicture[],
    readonly session: SessionHandle,
    /** of pictures that `model.open` has opened */
    readonly closing?: AbortSignal,
  ) {}
}

/** What a caller gives for a picture, or for several. */
export type Given = ImageInput | readonly ImageInput[];

/** What a question is about: a picture or several, as they were taken at the call or as `model.open` has opened them. */
export type Subject = TakenPicture | OpenedPicture | readonly TakenPicture[] | OpenedPictures;

/** The picture of a call, or all of them, which do not change any more. */
export function takeSubject(given: Given, options: ImageOptions, signal?: AbortSignal): TakenPicture | TakenPicture[] {
  return Array.isArray(given) ? (given as readonly ImageInput[]).map((image) => takePicture(image, options, signal)) : takePicture(given as ImageInput, options, signal);
}

/** Whether a question is about pictures in a row, be it one. */
export function isSeveral(subject: Subject): subject is readonly TakenPicture[] | OpenedPictures {
  return Array.isArray(subject) || subject instanceof OpenedPictures;
}

/** The pictures of a call. */
export interface PicturesInUse {
  pictures: readonly OpenedPicture[];
  /** with all of them */
  session: SessionHandle;
  decodeMs: number;
  visionMs: number;
  /** to be called once, with what keeping the session of each picture and that of all costs; of one picture they are the same */
  release(each: readonly number[], all: number): void;
}

/** An opened picture during one call. */
export interface PictureInUse {
  picture: OpenedPicture;
  /** of its session in the cache; "" for one that `model.open` has opened */
  key: string;
  /** milliseconds that this call spent on decoding and on the vision tower; 0 where that was done before */
  decodeMs: number;
  visionMs: number;
  /** to be called once, with what keeping the session costs */
  release(bytes: number): void;
}
