import { SdRpnError } from "../../base/errors.js";
import type { Box, RegionMethod } from "../../base/types.js";
import type { Engine } from "../../engine/engine.js";
import { proposeByAttention } from "./attention.js";
import type { Propose } from "./method.js";
import { proposeByNetwork } from "./rpn.js";
import { proposeByVicrop } from "./vicrop.js";

export const METHODS: Readonly<Record<RegionMethod, Propose>> = {
  rpn: proposeByNetwork,
  attention: proposeByAttention,
  vicrop: proposeByVicrop,
};

interface MethodOptions {
  method?: RegionMethod;
  threshold?: number;
}

/**
 * The method of a call that wants a region: the one that is named, else the network, else attention.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for methods other than "rpn" with Qwen-VL; RPN_NOT_LOADED where that is the network and there is none, also where neither it nor heads were loaded;
 *   INVALID_ARGUMENT for "attention" without heads, and for a threshold with "vicrop"
 */
export function chooseMethod(engine: Engine, { method, threshold }: MethodOptions): RegionMethod {
  const chosen = method ?? (engine.info.rpn === null && engine.heads ? "attention" : "rpn");
  if (chosen !== "rpn" && engine.info.vision.family !== "llava") {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected method "rpn" for a ${engine.info.vision.family} model but received "${chosen}", which reads the attention of LLaVA-1.5 models only: load a network`);
  }
  if (chosen === "rpn") {
    engine.requireRpn();
  }
  if (chosen === "attention") {
    engine.requireHeads();
  }
  if (chosen === "vicrop" && threshold !== undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", 'Expected no threshold with method "vicrop", which always takes the window with the most relative attention');
  }
  return chosen;
}

/**
 * The method of an answer; null where it is given without looking for a region: with `roi` "never" or boxes, and with "auto" where no method
 * is named and no network was loaded.
 *
 * @throws {SdRpnError} as {@link chooseMethod}; INVALID_ARGUMENT where a method is named and nothing is looked for
 */
export function methodOfAnswer(engine: Engine, options: MethodOptions & { roi: "auto" | "always" | "never" | Box[] }): RegionMethod | null {
  const { roi, method } = options;
  if (roi !== "auto" && roi !== "always") {
    if (method !== undefined) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected roi "auto" or "always" with method "${method}" but received ${roi === "never" ? '"never"' : "boxes"}, which look for no region`);
    }
    return null;
  }
  return roi === "auto" && method === undefined && engine.info.rpn === null ? null : chooseMethod(engine, options);
}
