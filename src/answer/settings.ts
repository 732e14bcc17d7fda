import { SdRpnError } from "../base/errors.js";
import type { Box, ImageOptions, RegionMethod } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture, OpenedPictures } from "../engine/opened-picture.js";
import type { ImageTokens, Views } from "../engine/views.js";

// What options mean for a loaded model. Each has an effect, or is refused in words.

type RoIOption = "auto" | "always" | "never" | Box[];

/**
 * The least score of the network's gate with which the network is asked; null: the gate is not asked.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a number where there is no gate to ask
 */
export function gateOf(engine: Engine, gate: "auto" | number | false, method: RegionMethod | null, roi: RoIOption): number | null {
  const own = engine.info.rpn?.gate ?? null;
  if (typeof gate === "number") {
    const reason =
      method !== "rpn" ? "where the network is not asked" : roi === "always" ? 'with roi "always", which goes past it' : own === null ? "for a network without one" : null;
    if (reason) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected no gate ${reason}, but received ${gate}: leave it out`);
    }
    return gate;
  }
  const asked = gate === "auto" && method === "rpn" && roi !== "always" && own !== null && own.threshold > 0;
  return asked ? Number(own.threshold.toPrecision(7)) : null; // float32 in the file
}

/**
 * Whether the tokens of second looks share positions with the cells that they show.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where the model has no choice of positions
 */
export function alignedOf({ info: { vision, rpn } }: Engine, positions: "fresh" | "aligned" | undefined, roi: RoIOption): boolean {
  if (positions !== undefined && roi === "never") {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected no roiPositions with roi "never", which has no second look, but received "${positions}"`);
  }
  if (positions === "aligned" && (vision.family === "llava" || rpn?.kind === "sdrpn-qwen")) {
    throw new SdRpnError("INVALID_ARGUMENT", 'Expected roiPositions "fresh" for this model, whose second looks have positions of their own: only Q-Zoom aligns them');
  }
  return (positions ?? rpn?.roiPositions) === "aligned";
}

/**
 * Windows in which the network is asked one by one.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where it is not asked
 */
export function tilesOf(tiles: "auto" | number | undefined, method: RegionMethod | null): "auto" | number | undefined {
  if (tiles !== undefined && method !== "rpn") {
    const reason = method === null ? "where no region is looked for" : `with method "${method}", whose values in one window say nothing about those in another`;
    throw new SdRpnError("INVALID_ARGUMENT", `Expected no tiles ${reason}, but received ${tiles}: leave them out`);
  }
  return tiles;
}

/**
 * How pictures are seen in a call.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where that is fixed
 */
export function viewsOfCall(engine: Engine, subject: unknown, { imageTokens, background, rotate, page, dpi }: ImageOptions & { imageTokens?: ImageTokens }): Views {
  const opened = subject instanceof OpenedPictures ? subject.pictures[0] : subject;
  if (opened instanceof OpenedPicture) {
    const [given] = Object.entries({ imageTokens, background, rotate, page, dpi }).filter(([, value]) => value !== undefined);
    if (given) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected no ${given[0]} for a session, whose picture was read when it was opened: pass it to open`);
    }
    return opened.views;
  }
  return engine.viewsFor(imageTokens);
}
