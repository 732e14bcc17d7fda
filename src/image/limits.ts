import { SdRpnError } from "../base/errors.js";
import type { Size } from "../base/types.js";

/** The most pixels a picture may have unless `maxImagePixels` says otherwise: 300 MB decoded. */
export const DEFAULT_MAX_IMAGE_PIXELS = 100_000_000;

/** The longest side a picture may have, in pixels. */
export const MAX_IMAGE_SIDE = 32_768;

/**
 * Throws `IMAGE_TOO_LARGE` for a picture with a side over {@link MAX_IMAGE_SIDE} or more than `maxPixels` pixels. To be
 * called with the size that the header states, before any pixel is decoded.
 *
 * @param mend what a caller can do about it
 */
export function checkImageSize({ width, height }: Size, maxPixels: number, mend = "scale it down"): void {
  if (Math.max(width, height) > MAX_IMAGE_SIDE) {
    throw new SdRpnError(
      "IMAGE_TOO_LARGE",
      `Expected an image with sides of at most ${MAX_IMAGE_SIDE} pixels but received ${width}x${height}; cut it into parts or ${mend}`,
    );
  }
  if (width * height > maxPixels) {
    throw new SdRpnError(
      "IMAGE_TOO_LARGE",
      `Expected an image of at most ${maxPixels} pixels but received ${width}x${height} = ${width * height}; ${mend} or raise maxImagePixels`,
    );
  }
}

/** @throws {SdRpnError} INVALID_ARGUMENT for a page that is not there */
export function checkPage(page: number, pages: number): void {
  if (page >= pages) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected ${pages === 1 ? "page 0, the only one," : `a page from 0 to ${pages - 1}`} but received ${page}`);
  }
}
