import { fileURLToPath } from "node:url";
import { types } from "node:util";
import { SdRpnError } from "../base/errors.js";
import { openRegularFile } from "../base/regular-file.js";
import type { ImageInput, RawImage } from "../base/types.js";
import { isDataUri, readDataUri } from "./data-uri.js";
import { SNIFF_LENGTH, sniff } from "./sniff.js";

/** A picture as given: encoded bytes, or raw pixels. `name` is its name in messages, `format` that of {@link sniff}. */
export type ImageSource = { kind: "encoded"; name: string; format: string; bytes: Buffer } | { kind: "raw"; image: RawImage };

const EXPECTED = "a path, a file URL, a data URI, encoded bytes (Buffer, Uint8Array, ArrayBuffer, Blob or a stream) or raw pixels { data, width, height, channels }";

/**
 * Determines the kind of an {@link ImageInput} and reads it whole. Encoded bytes are copied, so that the caller may reuse
 * the memory; files are closed before this resolves.
 *
 * @throws SdRpnError `INVALID_ARGUMENT` for anything that is not an ImageInput; `IMAGE_INVALID` for a file that cannot be read
 * and for formats that cannot be decoded
 */
export async function readSource(input: ImageInput | Promise<Buffer>): Promise<ImageSource> {
  if (types.isPromise(input)) return fromBytes((await input) as Buffer);
  // A caller without types can pass anything.
  const value: unknown = input;
  // Tests by type tag rather than instanceof: objects may come from another realm (Electron, vm contexts).
  if (typeof value === "string") return isDataUri(value) ? fromBytes(readDataUri(value)) : readFile(toPath(value));
  if (types.isUint8Array(value)) return fromBytes(Buffer.from(value));
  if (types.isAnyArrayBuffer(value)) return fromBytes(Buffer.from(new Uint8Array(value)));
  if (typeof value === "object" && value !== null) {
    if (isBlob(value)) return fromBytes(Buffer.from(await value.arrayBuffer()));
    if ("href" in value && typeof value.href === "string") return readFile(toPath(value.href));
    if ("data" in value) return { kind: "raw", image: checkRaw(value as Partial<RawImage>) };
  }
  throw new SdRpnError("INVALID_ARGUMENT", `Expected ${EXPECTED} for image but received ${describe(value)}`);
}

function toPath(text: string): string {
  if (text === "") throw new SdRpnError("INVALID_ARGUMENT", `Expected ${EXPECTED} for image but received an empty string`);
  if (/^file:/i.test(text)) {
    try {
      return fileURLToPath(text);
    } catch (cause) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected a URL of a local file for image but received ${text}`, { cause });
    }
  }
  if (/^([a-z][a-z0-9+.-]+:\/\/|blob:)/i.test(text)) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
    throw new SdRpnError("INVALID_ARGUMENT", `Expected ${EXPECTED} for image but received ${shown}; download it and pass its bytes`);
  }
  return text;
}

async function readFile(path: string): Promise<ImageSource> {
  try {
    await using file = await openRegularFile(path, "read");
    // The first bytes are checked first: a video or a model given by mistake may be too large to read.
    const head = Buffer.alloc(SNIFF_LENGTH);
    const { bytesRead } = await file.read(head, 0, SNIFF_LENGTH, 0);
    const format = checkFormat(head.subarray(0, bytesRead), path);
    return { kind: "encoded", name: path, format, bytes: await file.readFile() };
  } catch (error) {
    if (error instanceof SdRpnError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const message = missing ? `Image file not found: ${path}` : `Cannot read the image file ${path}: ${(error as Error).message}`;
    throw new SdRpnError("IMAGE_INVALID", message, { cause: error });
  }
}

function fromBytes(bytes: Buffer): ImageSource {
  const name = `a buffer of ${bytes.length} bytes`;
  return { kind: "encoded", name, format: checkFormat(bytes, name), bytes };
}

/** The name of its format. @throws {SdRpnError} IMAGE_INVALID for one that cannot be decoded */
function checkFormat(head: Buffer, name: string): string {
  if (head.length === 0) throw new SdRpnError("IMAGE_INVALID", `Expected an image but received no bytes at all (${name})`);
  const format = sniff(head);
  if (format.advice !== null) {
    throw new SdRpnError("IMAGE_INVALID", `Expected a picture that can be decoded but received ${format.name} (${name}); ${format.advice}`);
  }
  return format.name;
}

/** Blobs of other realms are none by instanceof. */
function isBlob(value: object): value is Blob {
  return Object.prototype.toString.call(value) === "[object Blob]" || Object.prototype.toString.call(value) === "[object File]";
}

function checkRaw({ data, width, height, channels: given, order }: Partial<RawImage>): RawImage {
  const isBytes = types.isUint8Array(data) || types.isUint8ClampedArray(data);
  if (!isBytes) throw invalid("Uint8Array or Uint8ClampedArray", "data", data);
  if (!isPositiveInteger(width)) throw invalid("positive integer", "width", width);
  if (!isPositiveInteger(height)) throw invalid("positive integer", "height", height);
  // a canvas's ImageData says nothing of its channels, which are four
  const channels = given ?? (data.length === 4 * width * height ? 4 : given);
  if (channels !== 3 && channels !== 4) throw invalid("3 or 4", "channels", channels);
  if (order !== undefined && order !== "rgb" && order !== "bgr") throw invalid('"rgb" or "bgr"', "order", order);
  return { data, width, height, channels, order };
}

function isPositiveInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function invalid(expected: string, name: string, value: unknown): SdRpnError {
  return new SdRpnError("INVALID_ARGUMENT", `Expected ${expected} for image.${name} but received ${describe(value)}`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") {
    const kind = value.constructor?.name ?? "Object";
    return Array.isArray(value) || kind !== "Object" ? `an object of type ${kind}` : `an object with the keys [${Object.keys(value).slice(0, 8).join(", ")}]`;
  }
  return `${String(value)} of type ${typeof value}`;
}
