import { abortError, SdRpnError } from "./errors.js";

interface Waiting {
  start(): void;
}

/**
 * Limits how many calls run at a time: each running call holds a decoded picture and space in the context, while waiting
 * calls hold nothing but their arguments. Clients take turns, one call each, and the calls of one client keep their order:
 * fifty questions about one picture delay a question about another picture by one call, not by fifty.
 */
export class CallQueue {
  private running = 0;
  /** waiting calls by client; the first client is the next one, and every client here has a waiting call */
  private readonly waiting = new Map<unknown, Set<Waiting>>();
  private waits = 0;

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
   * @param client identifies the client: any value, such as a session or the path of a picture
   * @throws {SdRpnError} QUEUE_FULL at once; ABORTED as soon as `signal` is aborted while it waits
   */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>, client?: unknown): Promise<T> {
    if (signal?.aborted) {
      throw abortError(signal);
    }
    if (this.running >= this.atOnce) {
      await this.turn(client, signal);
    } else {
      this.running++;
    }
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** How many calls run, and how many wait. */
  get load(): { running: number; waiting: number } {
    return { running: this.running, waiting: this.waits };
  }

  /** Resolves when a finished call has handed its place over. */
  private turn(client: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (this.waits >= this.maxWaiting) {
      throw new SdRpnError(
        "QUEUE_FULL",
        `Expected at most ${this.maxWaiting} calls to wait for this model but that many are waiting already: try again later, or raise maxQueue`,
      );
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.remove(client, entry);
        reject(abortError(signal));
      };
      const entry: Waiting = {
        start: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      const own = this.waiting.get(client) ?? new Set();
      this.waiting.set(client, own.add(entry));
      this.waits++;
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  private remove(client: unknown, entry: Waiting): void {
    const own = this.waiting.get(client);
    if (own?.delete(entry)) {
      this.waits--;
      if (own.size === 0) {
        this.waiting.delete(client);
      }
    }
  }

  private leave(): void {
    const [turn] = this.waiting;
    if (!turn) {
      this.running--;
      return;
    }
    const [client, own] = turn;
    const [first] = own;
    this.remove(client, first);
    if (own.size > 0) { // the client goes behind all others
      this.waiting.delete(client);
      this.waiting.set(client, own);
    }
    first.start(); // the place is handed over directly: a new call cannot take it in between
  }
}
