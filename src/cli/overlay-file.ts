import type { AnswerOptions } from "../answer/options.js";
import { SdRpnError } from "../base/errors.js";
import type { Model } from "../model/model.js";

/**
 * Checks that an answer looks for a region, before any work is done.
 *
 * @throws {SdRpnError} RPN_NOT_LOADED
 */
export function checkOverlayPossible({ info }: Model, { roi, method }: Pick<AnswerOptions, "roi" | "method">): void {
  if (info.rpn === null && method === undefined && !(roi === "always" && info.heads)) {
    throw new SdRpnError("RPN_NOT_LOADED", "Expected something that finds a region for --overlay: pass the path of a network with --rpn, or --method vicrop, which needs none");
  }
}
