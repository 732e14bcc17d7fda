import { type ErrorCode, SdRpnError } from "../base/errors.js";

const PICTURE_CODES: readonly ErrorCode[] = ["IMAGE_INVALID", "IMAGE_TOO_LARGE"];
const ITEM_CODES: readonly ErrorCode[] = [...PICTURE_CODES, "CONTEXT_OVERFLOW", "INVALID_ARGUMENT"];

/** Whether an error concerns one item of many only, so that a long run records it and goes on; others would occur for every further item. */
export function isItemError(error: unknown): error is SdRpnError {
  return error instanceof SdRpnError && ITEM_CODES.includes(error.code);
}

/** Whether it concerns a picture alone, and all questions about it. */
export function isPictureError(error: unknown): error is SdRpnError {
  return error instanceof SdRpnError && PICTURE_CODES.includes(error.code);
}
