import { abortError, SdRpnError } from "./errors.js";

interface Waiting {
  start(): void;
}

/**
 * Lets calls in one by one, in the order in which they came: those that run are few, since each holds a decoded picture
 * and a place in the context, and those that wait hold nothing but their arguments.
 */
export class CallQueue {
  private running = 0;
  private readonly waiting = new Set<Waiting>();

  /**
   * @param atOnce calls that run at a time
   * @param maxWaiting calls that may wait behind them
   */
  constructor(
    private readonly atOnce: number,
    private readonly maxWaiting: number,
  ) {}

  /**
   * Runs `work` when its turn has come.
   *
   * @throws {SdRpnError} QUEUE_FULL at once; ABORTED as soon as `signal` is aborted while it waits
   */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (signal?.aborted) {
      throw abortError(signal);
    }
    if (this.running >= this.atOnce) {
      await this.turn(signal);
    } else {
      this.running++;
    }
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** Resolves when a place has been handed over. */
  private turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.waiting.size >= this.maxWaiting) {
      throw new SdRpnError(
        "QUEUE_FULL",
        `Expected at most ${this.maxWaiting} calls to wait for this model but as many wait already: try again later, or raise maxQueue`,
      );
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.waiting.delete(entry);
        reject(abortError(signal));
      };
      const entry: Waiting = {
        start: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      this.waiting.add(entry);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  private leave(): void {
    const [first] = this.waiting;
    if (first) {
      this.waiting.delete(first); // its place is taken over, not freed and taken again: nobody gets in between
      first.start();
    } else {
      this.running--;
    }
  }
}
