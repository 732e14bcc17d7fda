import type { Hint } from "../base/hints.js";
import type { Size } from "../base/types.js";

/** Decoded pixels of 8 bits a channel, alpha being the fourth. */
export interface Decoded extends Size {
  data: Uint8Array;
  channels: 3 | 4;
}

/** What is read of a file, or of raw pixels. */
export interface Read {
  pixels: Decoded;
  pages: number;
  /** of a page of a PDF */
  dpi?: number;
  hints: Hint[];
}
