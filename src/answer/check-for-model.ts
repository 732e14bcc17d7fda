import type { RegionMethod } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import { methodOfAnswer } from "./methods/choose-method.js";
import type { CheckedAnswerOptions } from "./options.js";
import { alignedOf, gateOf, tilesOf } from "./settings.js";

/**
 * Refuses options that a loaded model cannot follow with any picture; for long runs, which record the error of an item and go on.
 *
 * @returns what will find regions; null where none are looked for
 * @throws {SdRpnError} RPN_NOT_LOADED, INVALID_ARGUMENT, CONTEXT_OVERFLOW, ABORTED
 */
export async function checkForModel(engine: Engine, options: CheckedAnswerOptions): Promise<RegionMethod | null> {
  const { roi, gate, tiles, roiPositions, imageTokens, grammar, system, signal } = options;
  const method = methodOfAnswer(engine, options);
  gateOf(engine, gate, method, roi);
  tilesOf(tiles, method);
  alignedOf(engine, roiPositions, roi);
  engine.viewsFor(imageTokens);
  if (grammar !== undefined) {
    await engine.checkGrammar(grammar, signal);
  }
  await engine.preambleOf(undefined, system, signal);
  return method;
}
