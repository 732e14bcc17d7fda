import { invalidArgument } from "../base/validate.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture } from "../engine/opened-picture.js";

interface Behind {
  engine: Engine;
  /** of a session */
  picture?: OpenedPicture;
}

/**
 * The engine of each model and session, for eval, distill and cli, which need more than the public methods. A map rather than
 * a property of the objects: it does not appear in types, logs or copies that users see, and only objects made by this
 * library are in it.
 */
const behind = new WeakMap<object, Behind>();

/** To be called by the constructors of Model and Session. */
export function setEngineOf(owner: object, engine: Engine, picture?: OpenedPicture): void {
  behind.set(owner, { engine, picture });
}

/** @throws {SdRpnError} INVALID_ARGUMENT where `owner` is not a model or session of this library; DISPOSED */
export function engineOf(owner: unknown): Engine {
  const { engine, picture } = lookUp(owner);
  engine.checkUsable(picture);
  return engine;
}

/** The picture that a session holds; undefined for a model. */
export function pictureOf(owner: unknown): OpenedPicture | undefined {
  return lookUp(owner).picture;
}

function lookUp(owner: unknown): Behind {
  const found = typeof owner === "object" && owner !== null ? behind.get(owner) : undefined;
  if (!found) {
    throw invalidArgument("a model that loadModel gave, or a session that it opened,", "model", owner);
  }
  return found;
}
