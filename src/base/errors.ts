import type { Answer } from "./types.js";

/** Every code an {@link SdRpnError} can carry. Codes are part of the public contract: they are never renamed. */
export const ERROR_CODES = [
  "INVALID_ARGUMENT",
  "MODEL_NOT_FOUND",
  "MODEL_INVALID",
  "MMPROJ_INVALID",
  "MMPROJ_MISMATCH",
  "RPN_INVALID",
  "RPN_MISMATCH",
  "RPN_NOT_LOADED",
  "IMAGE_INVALID",
  "IMAGE_TOO_LARGE",
  "CONTEXT_OVERFLOW",
  "OUT_OF_MEMORY",
  "BACKEND_UNAVAILABLE",
  "BINARY_NOT_FOUND",
  "CHECKPOINT_INVALID",
  "DATA_INVALID",
  "TEMPLATE_INVALID",
  "QUEUE_FULL",
  "DOWNLOAD_FAILED",
  "IO_ERROR",
  "ABORTED",
  "DISPOSED",
  "INTERNAL",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The one error class of this library.
 *
 * `code` is stable and meant for programs; `message` is meant for people and says how to mend the call; `cause` is the
 * underlying error (a system error, the native message, or an abort signal's reason). An aborted call has the code
 * `ABORTED` and the name `AbortError`, which the web platform uses too.
 */
export class SdRpnError extends Error {
  readonly code: ErrorCode;
  /** of DATA_INVALID: the data file, and where in it; lines and columns count from 1 */
  declare readonly file?: string;
  declare readonly line?: number;
  declare readonly column?: number;
  /**
   * of ABORTED, where an answer had begun: what was said by then, with finishReason "aborted". Calls that write no text
   * (`predictRoI`, `open`, `encodeImage`) have none, nor has one that was aborted before its first token could come.
   */
  declare readonly answer?: Answer;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = code === "ABORTED" ? "AbortError" : "SdRpnError";
    this.code = code;
  }
}

/** A place in a data file; lines and columns count from 1. */
export interface DataPlace {
  file: string;
  line: number;
  column: number;
}

/** A DATA_INVALID error: "qa.jsonl:12:7: what was expected"; `file`, `line` and `column` have the place too. */
export function dataInvalid(place: DataPlace, message: string, cause?: unknown): SdRpnError {
  const { file, line, column } = place;
  return Object.assign(new SdRpnError("DATA_INVALID", `${file}:${line}:${column}: ${message}`, { cause }), { file, line, column });
}

/**
 * The error of a call whose signal was aborted, with the signal's reason as cause.
 *
 * @param answer what the call had said by then
 */
export function abortError(signal: AbortSignal | undefined, answer?: Answer): SdRpnError {
  const error = new SdRpnError("ABORTED", "The operation was aborted", { cause: signal?.reason });
  return answer ? Object.assign(error, { answer }) : error;
}
