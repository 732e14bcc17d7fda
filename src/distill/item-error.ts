import { type ErrorCode, SdRpnError } from "../base/errors.js";

const ITEM_CODES: readonly ErrorCode[] = ["IMAGE_INVALID", "IMAGE_TOO_LARGE", "CONTEXT_OVERFLOW", "INVALID_ARGUMENT"];

/** Whether an error concerns one pair only, so that a long run skips the pair; other errors would occur for every further pair. */
export function isItemError(error: unknown): error is SdRpnError {
  return error instanceof SdRpnError && ITEM_CODES.includes(error.code);
}
