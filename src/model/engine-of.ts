import type { OpenSubject } from "../answer/answer-question.js";
import type { Engine } from "../engine/engine.js";
import { invalidArgument } from "../base/validate.js";

/** What the rest of the library reaches of a model or a session and its users do not. */
export interface Internals {
  /** @throws {SdRpnError} DISPOSED */
  engine(): Engine;
  /** of a session: its picture */
  subject?: OpenSubject;
}

const internals = new WeakMap<object, Internals>();

export function setInternals(owner: object, value: Internals): void {
  internals.set(owner, value);
}

/** @throws {SdRpnError} INVALID_ARGUMENT where `owner` is no model or session of this library */
export function internalsOf(owner: unknown, name = "model"): Internals {
  const found = typeof owner === "object" && owner !== null ? internals.get(owner) : undefined;
  if (!found) {
    throw invalidArgument("a model that loadModel gave, or a session that it opened,", name, owner);
  }
  return found;
}
