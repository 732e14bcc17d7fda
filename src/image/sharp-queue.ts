import { availableParallelism } from "node:os";
import { CallQueue } from "../base/call-queue.js";

/** libuv's threads where UV_THREADPOOL_SIZE does not say otherwise. */
const DEFAULT_POOL_SIZE = 4;

// One for all models of a JavaScript thread, since they share libuv's pool.
const queue = new CallQueue(sharpJobsAtOnce(process.env.UV_THREADPOOL_SIZE, availableParallelism()), Infinity);

/**
 * How much of sharp's work runs at a time. sharp holds a thread of libuv's pool from a picture's first pixel to its last,
 * and the host's file system calls and DNS look-ups need the same threads: two are left to them, where there are as many.
 * Decoding is bound by the processor, so that more jobs than cores would only take memory.
 *
 * @param poolSize the value of UV_THREADPOOL_SIZE; read as libuv reads it
 */
export function sharpJobsAtOnce(poolSize: string | undefined, cores: number): number {
  const threads = poolSize === undefined ? DEFAULT_POOL_SIZE : Math.max(1, Number.parseInt(poolSize, 10) || 0);
  return Math.max(1, Math.min(threads - 2, cores));
}

/**
 * Runs one piece of sharp's work, first come, first served. All of it goes through here.
 *
 * @param work must not wait for another piece: where one runs at a time, it would wait for itself
 * @throws {SdRpnError} ABORTED as soon as `signal` is aborted while the work waits; it is not stopped once it has begun
 */
export function runSharp<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return queue.run(signal, work);
}
