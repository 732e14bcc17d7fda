import type { Picture } from "../image/picture.js";
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

/** An opened picture during one call. */
export interface PictureInUse {
  picture: OpenedPicture;
  /** milliseconds that this call spent on decoding and on the vision tower; 0 where that was done before */
  decodeMs: number;
  visionMs: number;
  /** to be called once, with what keeping the session costs */
  release(bytes: number): void;
}
