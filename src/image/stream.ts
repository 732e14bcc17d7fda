import { Readable } from "node:stream";
import type { ReadableStream as WebStream } from "node:stream/web";
import { SdRpnError } from "../base/errors.js";
import type { ImageInput } from "../base/types.js";

/** More bytes than an encoded picture within the limits has. */
const MOST_BYTES = 256 * 1024 * 1024;

type Stream = Extract<ImageInput, ReadableStream | NodeJS.ReadableStream>;

/** Streams of Node, and of the web. */
export function isStream(value: unknown): value is Stream {
  const stream = value as { getReader?: unknown; pipe?: unknown } | null;
  return typeof value === "object" && value !== null && (typeof stream?.getReader === "function" || typeof stream?.pipe === "function");
}

/**
 * The bytes of a stream, from now on. Whatever happens the stream is closed.
 *
 * @throws {SdRpnError} IMAGE_INVALID where the stream fails, IMAGE_TOO_LARGE above 256 MiB, ABORTED
 */
export function readStream(stream: Stream, signal?: AbortSignal): Promise<Buffer> {
  const bytes = gather(stream, signal);
  bytes.catch(() => {}); // the call tells, when its turn has come
  return bytes;
}

async function gather(stream: Stream, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    const readable = "getReader" in stream ? Readable.fromWeb(stream as WebStream, { signal }) : (stream as Readable);
    const stop = (): void => void readable.destroy();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      for await (const chunk of readable as AsyncIterable<unknown>) {
        const piece = toBytes(chunk);
        length += piece.length;
        if (length > MOST_BYTES) {
          throw new SdRpnError("IMAGE_TOO_LARGE", `Expected a stream of at most ${MOST_BYTES} bytes for image: scale the picture down`);
        }
        chunks.push(piece);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      readable.destroy();
    }
  } catch (error) {
    if (error instanceof SdRpnError) throw error;
    throw new SdRpnError("IMAGE_INVALID", `Cannot read the image from a stream: ${(error as Error).message}`, { cause: error });
  }
  return Buffer.concat(chunks, length);
}

function toBytes(chunk: unknown): Buffer {
  if (chunk instanceof Uint8Array) return Buffer.from(chunk);
  throw new SdRpnError("IMAGE_INVALID", `Expected a stream of bytes for image but received one of ${typeof chunk}: do not set an encoding`);
}
