/** A signal of one call's own, aborted with the first of those that it follows. */
export interface LinkedSignal {
  signal: AbortSignal;
  /** To be called when the call has ended: nothing of it stays with the signals that it followed. */
  release(): void;
}

interface Followers {
  controllers: Set<AbortController>;
  listener: () => void;
}

/**
 * One listener for each signal that is followed, however many follow it: a caller may give thousands of calls the same
 * signal, and Node warns of a signal with more than ten listeners. (`AbortSignal.any` leaves something of every call
 * with a signal that lives on.)
 */
const followed = new WeakMap<AbortSignal, Followers>();

/** @param sources signals to follow; the first that is aborted gives its reason */
export function linkSignals(...sources: (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const given = sources.filter((source) => source !== undefined);
  const aborted = given.find((source) => source.aborted);
  if (aborted) {
    controller.abort(aborted.reason);
    return { signal: controller.signal, release: () => {} };
  }
  given.forEach((source) => follow(source, controller));
  return { signal: controller.signal, release: () => given.forEach((source) => unfollow(source, controller)) };
}

function follow(source: AbortSignal, controller: AbortController): void {
  let followers = followed.get(source);
  if (!followers) {
    const controllers = new Set<AbortController>();
    const listener = (): void => {
      followed.delete(source);
      controllers.forEach((each) => each.abort(source.reason));
    };
    followers = { controllers, listener };
    followed.set(source, followers);
    source.addEventListener("abort", listener, { once: true });
  }
  followers.controllers.add(controller);
}

function unfollow(source: AbortSignal, controller: AbortController): void {
  const followers = followed.get(source);
  if (followers?.controllers.delete(controller) && followers.controllers.size === 0) {
    followed.delete(source);
    source.removeEventListener("abort", followers.listener);
  }
}
