import { invalidArgument } from "../base/validate.js";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture, type OpenedPictures } from "../engine/opened-picture.js";

interface Behind {
  engine: Engine;
  /** of a session */
  opened?: OpenedPicture | OpenedPictures;
}

/**
 * The engine of each model and session, for eval, distill and cli, which need more than the public methods. A map rather than
 * a property of the objects: it does not appear in types, logs or copies that users see, and only objects made by this
 * library are in it.
 */
const behind = new WeakMap<object, Behind>();

/** To be called by the constructors of Model and Session. */
export function setEngineOf(owner: object, engine: Engine, opened?: OpenedPicture | OpenedPictures): void {
  behind.set(owner, { engine, opened });
}

/** @throws {SdRpnError} INVALID_ARGUMENT where `owner` is not a model or session of this library; DISPOSED */
export function engineOf(owner: unknown): Engine {
  const { engine, opened } = lookUp(owner);
  engine.checkUsable(opened);
  return engine;
}

/**
 * The picture that a session holds; undefined for a model.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a session of several
 */
export function pictureOf(owner: unknown): OpenedPicture | undefined {
  const { opened } = lookUp(owner);
  if (opened !== undefined && !(opened instanceof OpenedPicture)) {
    throw invalidArgument("a model, or a session of one image,", "model", owner);
  }
  return opened;
}

function lookUp(owner: unknown): Behind {
  const found = typeof owner === "object" && owner !== null ? behind.get(owner) : undefined;
  if (!found) {
    throw invalidArgument("a model that loadModel gave, or a session that it opened,", "model", owner);
  }
  return found;
}
