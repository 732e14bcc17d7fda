import type { Metadata, Sharp } from "sharp";
import { SdRpnError } from "../base/errors.js";
import type { Hint } from "../base/hints.js";

/** Samples of 16 bits whose greatest is below this, a sixteenth of the range, are told: they look black. */
const DARK = 4096;

/**
 * A pipeline to sRGB whose samples use the range that 8 bits have. Of 16-bit PNG files the sBIT chunk tells how many bits count; floats of 0..1 are
 * scaled to 0..255.
 *
 * @param open begins a pipeline over the same file
 * @throws {SdRpnError} IMAGE_INVALID for samples whose range cannot be known
 */
export async function withLevels(open: () => Sharp, { depth, space, channels = 3, hasAlpha }: Metadata, bytes: Buffer): Promise<{ image: Sharp; hints: Hint[] }> {
  if (depth === undefined || depth === "uchar") {
    return { image: open().toColourspace("srgb"), hints: [] };
  }
  if (depth !== "ushort" && depth !== "float") {
    throw new SdRpnError("IMAGE_INVALID", `Expected samples of 8 or 16 bits, or floats of 0 to 1, but received an image of the type ${depth}: scale it to 8 or 16 bits without sign`);
  }
  const stats = await open().stats();
  const colors = hasAlpha ? stats.channels.slice(0, -1) : stats.channels;
  const [least, most] = [Math.min(...colors.map(({ min }) => min)), Math.max(...colors.map(({ max }) => max))];
  if (depth === "float") {
    return { image: fromFloats(open, space, least, most), hints: [] };
  }
  const bits = significantBits(bytes);
  if (bits !== null && bits < 16 && most < 2 ** bits) {
    const scale = 2 ** (16 - bits);
    return { image: open().linear(perChannel(channels, hasAlpha, scale, 1), perChannel(channels, hasAlpha, 0, 0)).toColourspace("srgb"), hints: [] };
  }
  const dark = most > 0 && most < DARK;
  const message = `The picture's samples have 16 bits, but the greatest is ${most} of 65535, so that it looks black: scale it to the whole range`;
  return { image: open().toColourspace("srgb"), hints: dark ? [{ code: "IMAGE_DARK", message }] : [] };
}

function perChannel(channels: number, hasAlpha: boolean | undefined, color: number, alpha: number): number[] {
  return Array.from({ length: channels }, (_, i) => (hasAlpha && i === channels - 1 ? alpha : color));
}

/** Floats as plain numbers, as other programs show them; libvips takes those in three channels for linear light. */
function fromFloats(open: () => Sharp, space: string | undefined, least: number, most: number): Sharp {
  if (!(least >= 0 && most <= 255)) {
    throw new SdRpnError("IMAGE_INVALID", `Expected floats of 0 to 1, or of 0 to 255, but received an image of ${least} to ${most}: scale its samples`);
  }
  return open().linear(most <= 1 ? 255 : 1, 0).toColourspace(space === "scrgb" ? "scrgb" : "srgb");
}

/** What the sBIT chunk of a PNG file says of its first channel; null without one. It stands before the pixels. */
function significantBits(bytes: Buffer): number | null {
  if (bytes.toString("latin1", 1, 4) !== "PNG") {
    return null;
  }
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (type === "sBIT") {
      return length > 0 && at + 8 < bytes.length ? bytes[at + 8] : null;
    }
    if (type === "IDAT" || length > bytes.length) {
      return null;
    }
    at += 12 + length;
  }
  return null;
}
