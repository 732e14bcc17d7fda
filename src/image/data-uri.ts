import { SdRpnError } from "../base/errors.js";

/** `data:`, in any case, then a media type and parameters, which do not matter: the format is told from the bytes. */
const DATA_URI = /^data:([^,]*),/i;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

export function isDataUri(text: string): boolean {
  return /^data:/i.test(text);
}

/**
 * The bytes of a data URI (RFC 2397): base64, also with its characters percent-encoded, or percent-encoded bytes.
 *
 * @throws {SdRpnError} IMAGE_INVALID
 */
export function readDataUri(text: string): Buffer {
  const head = DATA_URI.exec(text);
  if (!head) throw invalid("has no comma before its data");
  const body = text.slice(head[0].length);
  const bytes = percentDecoded(body);
  if (!/;\s*base64\s*$/i.test(head[1])) return bytes;
  const base64 = bytes.toString("latin1").replace(/\s/g, "");
  if (!BASE64.test(base64)) throw invalid("is not base64");
  return Buffer.from(base64, "base64");
}

function percentDecoded(text: string): Buffer {
  if (!text.includes("%")) return Buffer.from(text, "latin1");
  const plain = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(plain, "latin1");
}

function invalid(why: string): SdRpnError {
  return new SdRpnError("IMAGE_INVALID", `Expected a data URI of a picture for image but what was received ${why}`);
}
