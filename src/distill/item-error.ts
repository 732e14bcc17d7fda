import { type ErrorCode, SdRpnError } from "../base/errors.js";

const ITEM_CODES: readonly ErrorCode[] = ["IMAGE_INVALID", "IMAGE_TOO_LARGE", "CONTEXT_OVERFLOW", "INVALID_ARGUMENT"];

/** Whether an error is that of one pair, which a long run passes over, and not one that every further pair would meet. */
export function isItemError(error: unknown): error is SdRpnError {
  return error instanceof SdRpnError && ITEM_CODES.includes(error.code);
}
