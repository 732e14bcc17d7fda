import { type DataPlace, dataInvalid } from "../../base/errors.js";

/**
 * The bytes of a picture in base64, line ends allowed.
 *
 * @throws {SdRpnError} DATA_INVALID at `place`
 */
export function decodeBase64(text: string, place: DataPlace): Uint8Array {
  const given = text.replace(/\s+/g, "");
  if (given === "" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(given)) {
    throw dataInvalid(place, "Expected a picture in base64 but received other characters");
  }
  return Buffer.from(given, "base64");
}
