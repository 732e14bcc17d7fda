import { types } from "node:util";
import { isStream, readStream } from "./stream.js";
import { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import type { ImageInput, ImageOptions, RawImage } from "../base/types.js";

const COLOR = /^#[0-9a-f]{6}$/i;

/** The options of calls about a picture that say how it is read. */
export const imageOptionsShape = {
  background: z
    .string()
    .refine((text) => text === "drop" || COLOR.test(text))
    .describe('"drop" or a colour such as "#ffffff"')
    .optional(),
  rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]).optional(),
  page: z.int().min(0).max(1 << 20).optional(),
  dpi: z.number().min(10).max(1200).optional(),
};

/** A picture as a call was given it, with how it is to be read. Nothing that the caller does to buffers afterwards changes it. */
export class TakenPicture {
  constructor(
    /** a promise of the bytes of a stream, which is read from the call on */
    readonly input: ImageInput | Promise<Buffer>,
    readonly options: ImageOptions,
  ) {}
}

/**
 * Takes a picture at the time of a call, which may wait long for its turn: buffers are copied, so that the caller may reuse them, and streams
 * are read. A path is read when the call's turn has come.
 *
 * @param signal ends the reading of a stream

 * @throws {SdRpnError} INVALID_ARGUMENT for a buffer that was transferred to another thread
 */
export function takePicture(input: ImageInput, { background, rotate, page, dpi }: ImageOptions = {}, signal?: AbortSignal): TakenPicture {
  return new TakenPicture(isStream(input) ? readStream(input, signal) : copied(input), { background, rotate, page, dpi });
}

/** As the reference's preprocessing reads it, where figures are to be compared: alpha is dropped (PIL's convert("RGB")). */
export function asReference(input: ImageInput): TakenPicture {
  return new TakenPicture(input, { background: "drop" });
}

function copied(input: ImageInput): ImageInput {
  const value: unknown = input;
  if (types.isUint8Array(value)) {
    checkAttached(value.buffer, "image");
    return Uint8Array.from(value);
  }
  if (types.isAnyArrayBuffer(value)) {
    checkAttached(value, "image");
    return Uint8Array.from(new Uint8Array(value));
  }
  if (typeof value === "object" && value !== null && "data" in value) {
    const raw = value as RawImage;
    if (types.isUint8Array(raw.data) || types.isUint8ClampedArray(raw.data)) {
      checkAttached(raw.data.buffer, "image.data");
      const { width, height, channels, order } = raw; // of a canvas these are getters of its prototype
      return { width, height, channels, order, data: Uint8Array.from(raw.data) };
    }
  }
  return input; // paths, and what is no picture, which is told when it is read
}

function checkAttached(buffer: ArrayBufferLike, name: string): void {
  try {
    new Uint8Array(buffer, 0, 0); // Node 20 has no property that says it
  } catch {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected the bytes of a picture for ${name} but received a buffer that was transferred to another thread: pass a copy`);
  }
}
