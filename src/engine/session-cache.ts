import { createHash } from "node:crypto";
import type { NativeView } from "../native/binding.js";
import type { Preamble } from "./preamble.js";

/** A native session: the state of one picture in front of the model. */
export interface SessionHandle {
  id: number;
  preamble: Preamble;
  /** tokens of [system][image] */
  tokens: number;
  /** milliseconds of the vision tower, spent when it was opened */
  visionMs: number;
}

/** A session of the cache during one call. */
export interface SessionInUse {
  session: SessionHandle;
  key: string;
  fresh: boolean;
  release: (bytes: number) => void;
}

interface Entry {
  key: string;
  opening: Promise<SessionHandle>;
  bytes: number;
  users: number;
}

/**
 * Sessions by the content of their view and what stands before it, least recently used first. A second question about a picture reuses
 * its state; overlapping calls on the same picture share it. Entries in use are never dropped.
 */
export class SessionCache {
  private readonly entries = new Map<string, Entry>();
  private evictions = 0;

  constructor(
    private readonly limit: number,
    private readonly open: (view: NativeView, preamble: Preamble) => Promise<SessionHandle & { bytes: number }>,
    private readonly drop: (id: number) => void,
  ) {}

  /** What is kept, and how many sessions were dropped for others. */
  get load(): { sessions: number; bytes: number; evictions: number } {
    const bytes = [...this.entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    return { sessions: this.entries.size, bytes, evictions: this.evictions };
  }

  /** The session of a view; the caller releases it and reports its size then. `fresh`: this call has opened it. */
  acquire(view: NativeView, preamble: Preamble): Promise<SessionInUse> {
    const key = `${view.width}x${view.height} ${createHash("sha256").update(view.rgb).digest("base64")} ${preamble.tokens.join(" ")}`;
    return this.get(key, () => this.open(view, preamble));
  }

  /** The session of a key, which `open` makes where there is none. */
  async get(key: string, open: () => Promise<SessionHandle & { bytes: number }>): Promise<SessionInUse> {
    let entry = this.entries.get(key);
    const fresh = entry === undefined;
    if (!entry) {
      const opening = open();
      const made: Entry = { key, opening, bytes: 0, users: 0 };
      opening.then(
        ({ bytes }) => (made.bytes = bytes),
        () => this.entries.delete(key),
      );
      entry = made;
    } else {
      this.entries.delete(key); // to the end: most recently used
    }
    this.entries.set(key, entry);
    entry.users++;
    const used = entry;
    const release = (bytes: number): void => {
      used.users--;
      used.bytes = Math.max(used.bytes, bytes);
      this.trim();
    };
    try {
      return { session: await entry.opening, key, fresh, release };
    } catch (error) {
      entry.users--;
      throw error;
    }
  }

  private trim(): void {
    let total = 0;
    for (const { bytes } of this.entries.values()) {
      total += bytes;
    }
    for (const entry of this.entries.values()) {
      if (total <= this.limit) {
        return;
      }
      if (entry.users === 0) {
        total -= entry.bytes;
        this.entries.delete(entry.key);
        this.evictions++;
        entry.opening.then(({ id }) => this.drop(id)).catch(() => {});
      }
    }
  }
}
