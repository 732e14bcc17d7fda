import { type ErrorCode, SdRpnError } from "../base/errors.js";

/** Codes that only the service has, beside those of the library. */
export type ServiceCode = "BODY_INVALID" | "UNAUTHORIZED" | "ORIGIN_REFUSED" | "NOT_FOUND" | "BODY_TOO_LARGE" | "MEDIA_TYPE_UNSUPPORTED" | "CLIENT_LEFT" | "LOADING" | "DRAINING" | "TIMED_OUT";

/** A refusal by the service itself. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: ServiceCode,
    message: string,
    /** seconds after which the same request may succeed */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** A refusal of one field of a request. */
export class FieldError extends SdRpnError {
  constructor(
    readonly field: string,
    message: string,
    code: ErrorCode = "INVALID_ARGUMENT",
  ) {
    super(code, message);
  }
}

/** An error as clients of OpenAI's interface read it. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string };
}

export interface HttpError {
  status: number;
  body: ErrorBody;
  retryAfter?: number;
}

/** Codes of the library that are not the fault of a request's form. Those that only come while a model is loaded, or from files, are not among them. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  MODEL_NOT_FOUND: 404, // the name in a request
  CONTEXT_OVERFLOW: 400,
  TEMPLATE_INVALID: 422,
  IMAGE_INVALID: 422,
  RPN_NOT_LOADED: 422,
  IMAGE_TOO_LARGE: 413,
  DOWNLOAD_FAILED: 422,
  QUEUE_FULL: 429,
  ABORTED: 499,
  OUT_OF_MEMORY: 503,
  DISPOSED: 503,
};

/** Seconds after which a full queue may have room. */
const RETRY_AFTER = 1;

export function httpError(error: unknown): HttpError {
  const known = error instanceof SdRpnError && error.code === "ABORTED" && error.cause instanceof Error ? error.cause : error; // why it was aborted
  if (known instanceof ServiceError) {
    return { status: known.status, body: bodyOf(known.status, known.code, known.message), retryAfter: known.retryAfter };
  }
  if (known instanceof SdRpnError) {
    const status = STATUS[known.code] ?? 500;
    const field = known instanceof FieldError ? known.field : fieldIn(known);
    // what went wrong inside may name files of this machine
    const message = status === 500 ? "The service failed; its log says why" : known.message;
    return { status, body: bodyOf(status, known.code, message, field), retryAfter: status === 429 || status === 503 ? RETRY_AFTER : undefined };
  }
  return ofFastify(known) ?? { status: 500, body: bodyOf(500, "INTERNAL", "The service failed; its log says why") };
}

/** What fastify refuses before a route sees it. */
function ofFastify(error: unknown): HttpError | undefined {
  const { statusCode, message } = error as { statusCode?: number; message?: string };
  if (statusCode === undefined || statusCode < 400 || statusCode >= 500) {
    return undefined;
  }
  const code: ServiceCode = statusCode === 413 ? "BODY_TOO_LARGE" : statusCode === 415 ? "MEDIA_TYPE_UNSUPPORTED" : "BODY_INVALID";
  return { status: statusCode, body: bodyOf(statusCode, code, message ?? "The request cannot be read") };
}

/** The field that a message of the library's checks is about. */
function fieldIn({ message }: SdRpnError): string | null {
  return (/^Expected [^]+? for ([\w.[\]]+) but received/.exec(message) ?? /^Unknown option ([\w.[\]]+)/.exec(message))?.[1] ?? null;
}

function bodyOf(status: number, code: string, message: string, param: string | null = null): ErrorBody {
  const type = status === 401 ? "authentication_error" : status === 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message, type, param, code } };
}
