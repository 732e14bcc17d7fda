import type { Engine } from "../engine/engine.js";
import { SdRpnError } from "../base/errors.js";
import { runJob } from "../native/job.js";
import type { LabelEntry } from "./label-file.js";
import { atPlace } from "./train-labels.js";
import { asReference } from "../image/taken-picture.js";

interface Entry {
  ready: Promise<void>;
  users: number;
  kept: boolean;
}

/**
 * Provides a native training with the hidden states of its pairs. The base model is frozen, so they are the same in every
 * epoch: when a picture is first needed, it is run through the model once with all its questions and kept, as long as there
 * is memory for it; hidden states of further pictures are computed each time they are needed, and dropped after use.
 */
export class TrainFeed {
  private readonly entries = new Map<number, Entry>();
  private readonly byPicture = new Map<string, number[]>();
  private bytes = 0;
  private largest = 0;

  constructor(
    private readonly engine: Engine,
    private readonly training: number,
    private readonly pairs: readonly LabelEntry[],
    private readonly cacheBytes: number,
    private readonly signal: AbortSignal | undefined,
  ) {
    pairs.forEach(({ path }, id) => {
      const ids = this.byPicture.get(path);
      if (ids) {
        ids.push(id);
      } else {
        this.byPicture.set(path, [id]);
      }
    });
  }

  /** Resolves when the pairs' hidden states are ready; they are kept until {@link release}. */
  async prepare(ids: readonly number[]): Promise<void> {
    const missing = new Map<string, number[]>();
    for (const id of ids) {
      if (!this.entries.has(id)) {
        const { path } = this.pairs[id];
        missing.set(path, [...(missing.get(path) ?? []), id]);
      }
    }
    for (const [path, asked] of missing) {
      // the first picture is always kept, to learn how much memory one takes; all have about as many questions
      const kept = this.bytes + this.largest <= this.cacheBytes && this.cacheBytes > 0;
      const wanted = kept ? (this.byPicture.get(path) as number[]).filter((id) => !this.entries.has(id)) : asked;
      const ready = this.add(path, wanted, kept);
      for (const id of wanted) {
        this.entries.set(id, { ready, users: 0, kept });
      }
      ready.catch(() => wanted.forEach((id) => this.entries.delete(id)));
    }
    const entries = ids.map((id) => this.entries.get(id) as Entry);
    entries.forEach((entry) => entry.users++);
    await Promise.all(entries.map(({ ready }) => ready));
  }

  /** To be called after use, once for each {@link prepare}. */
  async release(ids: readonly number[]): Promise<void> {
    const unused = ids.filter((id) => {
      const entry = this.entries.get(id) as Entry;
      return --entry.users === 0 && !entry.kept;
    });
    unused.forEach((id) => this.entries.delete(id));
    if (unused.length > 0) {
      await runJob(this.engine.native, () => this.engine.native.trainDrop(this.training, Int32Array.from(unused)));
    }
  }

  private async add(path: string, ids: readonly number[], kept: boolean): Promise<void> {
    const { native, prefix } = this.engine;
    const questions = await Promise.all(ids.map(async (id) => {
      const pair = this.pairs[id];
      const tokens = await toldWithPlace(pair, () => this.engine.tokenize(pair.question, 0, this.signal));
      return { id, tokens, labels: pair.labels };
    }));
    const { view } = await toldWithPlace(this.pairs[ids[0]], () => this.engine.read(asReference(path), this.signal));
    const bytes = await runJob(native, () => native.trainAdd(this.training, prefix, view, questions), this.signal);
    if (kept) {
      this.bytes += bytes;
      this.largest = Math.max(this.largest, bytes);
    }
  }
}

/** Adds the line of the label file to errors of a pair or its picture. */
async function toldWithPlace<T>({ place }: LabelEntry, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SdRpnError && error.code !== "ABORTED" && error.code !== "DISPOSED" ? atPlace(error, place) : error;
  }
}
