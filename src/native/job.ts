import { abortError, ERROR_CODES, type ErrorCode, SdRpnError } from "../base/errors.js";
import { throwIfAborted } from "../base/abort.js";
import { linkSignals } from "../base/signals.js";
import type { NativeJob, NativeWorker } from "./binding.js";

/**
 * Waits for a native job; an abort of `signal` cancels it.
 *
 * @throws {SdRpnError} what the native side reported; ABORTED with the signal's reason as cause
 */
export async function runJob<T>(worker: NativeWorker, start: () => NativeJob<T>, signal?: AbortSignal): Promise<T> {
  throwIfAborted(signal);
  const job = attempt(start);
  const cancel = (): void => worker.cancel(job.id);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await job.promise;
  } catch (error) {
    throw toSdRpnError(error, signal);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/**
 * As {@link runJob}, for a job that calls back: where the caller's callback throws, the job is cancelled and that very
 * error is what the call rejects with. Where nobody listens the job gets no callback.
 */
export async function runJobWithCallback<T, A>(
  worker: NativeWorker,
  start: (callback?: (value: A) => void) => NativeJob<T>,
  callback: ((value: A) => void) | undefined,
  signal?: AbortSignal,
): Promise<T> {
  if (!callback) {
    return runJob(worker, start, signal);
  }
  const failed = new AbortController();
  const guarded = (value: A): void => {
    if (failed.signal.aborted) {
      return;
    }
    try {
      callback(value);
    } catch (error) {
      failed.abort(error);
    }
  };
  const either = linkSignals(signal, failed.signal);
  const [result] = await Promise.allSettled([runJob(worker, () => start(guarded), either.signal)]);
  either.release();
  if (failed.signal.aborted) {
    throw failed.signal.reason;
  }
  if (result.status === "rejected") {
    throw result.reason;
  }
  return result.value;
}

/** Calls a synchronous native method; its errors become SdRpnError. */
export function attempt<T>(start: () => T): T {
  try {
    return start();
  } catch (error) {
    throw toSdRpnError(error);
  }
}

function toSdRpnError(error: unknown, signal?: AbortSignal): SdRpnError {
  if (error instanceof SdRpnError) {
    return error;
  }
  const { code, message } = error as { code?: string; message?: string };
  if (code === "ABORTED") {
    return abortError(signal);
  }
  const known = ERROR_CODES.includes(code as ErrorCode) ? (code as ErrorCode) : "INTERNAL";
  return new SdRpnError(known, message ?? String(error), { cause: error });
}

/**
 * The same numbers as a Float32Array of this realm: the addon's arrays belong to the realm in which it was loaded, and would
 * fail an `instanceof` in a program with several contexts. Nothing is copied.
 */
export function inThisRealm({ buffer, byteOffset, length }: Float32Array): Float32Array {
  return new Float32Array(buffer, byteOffset, length);
}
