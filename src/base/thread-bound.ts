import { SdRpnError } from "./errors.js";

/**
 * An object that belongs to one thread. Posted to another it would arrive as a copy without its native part, or fail with
 * "could not be cloned". A property that throws when the clone reads it gives a message that says what to do instead.
 */
export abstract class ThreadBound {
  constructor(what: string) {
    Object.defineProperty(this, "thread", {
      enumerable: true, // the structured clone algorithm reads those
      get() {
        throw new SdRpnError("INVALID_ARGUMENT", `Expected no ${what} in what is sent or copied: a ${what} belongs to the thread that made it; make one of its own there`);
      },
    });
    // a program may log objects that hold one
    Object.defineProperty(this, "toJSON", { value: () => ({ [what]: {} }) });
  }
}
