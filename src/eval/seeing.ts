import { gateOf } from "../answer/settings.js";
import { SdRpnError } from "../base/errors.js";
import type { Engine } from "../engine/engine.js";
import type { RunConfig } from "./config.js";
import type { CheckedEvaluateOptions } from "./options.js";
import { checkPresetFits, presetValues } from "./presets.js";
import type { Task } from "./task.js";

/** What decides how much of a picture the model sees, and when it looks again. */
export type Seeing = Pick<RunConfig, "preset" | "threshold" | "gate" | "imageTokens">;

/**
 * Options win over the preset, the preset over the task's published threshold and the files of the model. A budget that the model was
 * loaded with is an option, too.
 *
 * @param methods of the run
 * @throws {SdRpnError} INVALID_ARGUMENT for what the model has no use for, and where the context does not hold the preset's views
 */
export function seeingOf(engine: Engine, task: Task, options: CheckedEvaluateOptions, methods: readonly string[]): Seeing {
  const { preset: name, sweep, threshold, gate } = options;
  const asked = methods.includes("rpn") || sweep !== false;
  if (name !== undefined) {
    checkPresetFits(name, engine.info);
  }
  const preset = name === undefined ? null : { name, ...presetValues(name, task.name) };
  if (gate !== undefined && !asked) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected no gate without the method rpn, which alone asks it: leave it out");
  }
  const given = options.imageTokens ?? engine.limits.imageTokens;
  const { budget, tokens } = engine.viewsFor(given ?? preset?.imageTokens);
  if (preset && !given) {
    checkContext(engine, tokens.max, methods);
  }
  return {
    preset,
    // "best" is resolved after the sweep; the configuration keeps "best", so that a resumed run has the same one
    threshold: asked ? (threshold ?? preset?.threshold ?? task.defaults.threshold ?? engine.defaultThreshold) : null,
    gate: asked ? gateOf(engine, gate ?? preset?.gate ?? "auto", "rpn", "auto") : null,
    imageTokens: budget && { ...tokens },
  };
}

/** Without this, each item that does not fit would count as wrong, and large pictures would be most of those. */
function checkContext({ info: { contextSize } }: Engine, most: number, methods: readonly string[]): void {
  const views = methods.some((method) => method !== "none") ? 2 : 1;
  if (views * most >= contextSize) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected a context of more than ${views * most} tokens for the preset, whose views take up to ${most}${views === 2 ? ", as do its second looks" : ""}, but received one of ${contextSize}: load the model with a larger contextSize (--context-size), or give smaller imageTokens (--image-tokens)`,
    );
  }
}
