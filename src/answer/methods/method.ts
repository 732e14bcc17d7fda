import type { Gate, Region, ScoredBox } from "../../base/types.js";
import type { Engine } from "../../engine/engine.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { NativeTimings } from "../../native/binding.js";
import type { GridBox } from "../../roi/components.js";

/** One question about an opened picture. */
export interface Asked {
  picture: OpenedPicture;
  /** as the caller put it, and the tokens that stand behind the picture for it */
  question: string;
  tokens: Int32Array;
  /** by default the method's own */
  threshold: number | undefined;
  /** tokens of the context to be kept free for a second look */
  reserve: number;
  /** the least score of the network's gate with which the network is asked; null: the gate is not */
  gate: number | null;
  /** whether an answer follows, with a second look at the region */
  forAnswer: boolean;
  signal?: AbortSignal;
}

/** What a method says about a picture. */
export interface Proposed {
  /** 0..1, one number per cell of the picture's view, row-major */
  map: Float32Array;
  /** what passed the threshold, in pixels of the picture */
  boxes: ScoredBox[];
  region: Region;
  /** where it lies in the map; null where there is none, or where the method does not say it */
  cells: GridBox | null;
  /** the picture's cells that a second look leaves in the prompt, ascending; null: all */
  pruned: Int32Array | null;
  /** the likeliest place, for those who look anyway */
  likeliest: () => { region: Region; cells: GridBox | null };
  /** null where there is none, or it was not asked */
  gate: Gate | null;
  timings: NativeTimings;
  /** what keeping the picture's session costs now; 0 where the method does not change it */
  bytes: number;
  /** tokens of the prompt whose state was there already */
  reused: number;
}

/** A way to find where the answer to a question can be read. */
export type Propose = (engine: Engine, asked: Asked) => Promise<Proposed>;

/** A map scaled so that its greatest value is 1; all 0 where it has none. */
export function relativeToMaximum(map: Float32Array): Float32Array {
  const greatest = map.reduce((a, b) => Math.max(a, b), 0);
  return greatest > 0 ? map.map((value) => value / greatest) : new Float32Array(map.length);
}
