import type { Hint } from "./hints.js";
import type { Json } from "./json.js";

/** A size in pixels, or in cells for grids. */
export interface Size {
  width: number;
  height: number;
}

/** A rectangle in source-image pixels (after EXIF rotation), `x`/`y` being its top left corner. */
export interface Box extends Size {
  x: number;
  y: number;
}

/** What was said before a question, by the one who asks or by the model. */
export interface Turn {
  role: "user" | "assistant";
  text: string;
}

/** What can find a region: the region proposal network, the attention of the model's own answer, or that of ViCrop. */
export type RegionMethod = "rpn" | "attention" | "vicrop";

/**
 * A proposed box. `score`, 0..1, depends on the method. "rpn": the largest blurred probability inside the box; "attention": the greatest
 * attention to a cell; "vicrop": the box's share of the relative attention.
 */
export interface ScoredBox extends Box {
  score: number;
}

/** Raw pixels, row-major, 8 bits a channel, no padding between rows. */
export interface RawImage extends Size {
  data: Uint8Array | Uint8ClampedArray;
  channels: 3 | 4;
  /** of the channels; default red first. "bgr" is blue first, with alpha last where there are four, as many cameras and screen captures have it */
  order?: "rgb" | "bgr";
}

/** Pixels of a canvas: red, green, blue and alpha. */
export interface CanvasPixels extends Size {
  data: Uint8ClampedArray;
}

/**
 * A path, a file URL, a data URI, an encoded picture in memory (also a Blob or File, or a stream of its bytes), raw pixels, or a canvas's
 * ImageData.
 */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | Blob | ReadableStream | NodeJS.ReadableStream | RawImage | CanvasPixels;

/** How a picture is read. */
export interface ImageOptions {
  /**
   * What lies under transparent pixels, "#rrggbb"; default white. "drop": alpha is dropped and the colours stay, as in the reference's
   * preprocessing. An alpha of 0 everywhere counts as none.
   */
  background?: string;
  /**
   * Degrees clockwise by which the picture, after EXIF rotation, is turned before it is read; default 0. Boxes, crops and maps of results are in
   * the picture that was not turned; `region.keep` and `view` are the model's.
   */
  rotate?: 0 | 90 | 180 | 270;
  /** of a file with several pages or frames (PDF, TIFF, GIF, WebP), from 0; default the first */
  page?: number;
  /** of a PDF, whose pages have no pixels of their own: how many of them to the inch, 10 to 1,200; default 200 */
  dpi?: number;
}

/**
 * What the second look reads: nothing, one rectangle whole, or one rectangle of which only some tokens are fed.
 * `keep` holds row-major indexes into the cells of the crop's own grid.
 */
export interface Region {
  kind: "none" | "crop" | "masked";
  crop: Box | null;
  keep: number[] | null;
}

/**
 * One number per image token, row-major, 0..1: probabilities of the region proposal network before the blur, or attention as a part of
 * its greatest, of other methods.
 */
export interface HeatMap extends Size {
  data: Float32Array;
}

/** Milliseconds per phase; a phase that did not run is 0. */
export interface Timings {
  /** reading and decoding the picture, and scaling it to the model's view */
  decode: number;
  /** the vision tower, all views */
  vision: number;
  /** prompt tokens through the language model; those read only for a region count too */
  prefill: number;
  /** region proposal network: its layers and head */
  rpn: number;
  /** cutting the region out of the picture and scaling it */
  crop: number;
  /** token by token decoding; method "attention" decodes an answer for its region, and prompts of "vicrop" count here */
  generate: number;
  /** from the call to its result, waiting included */
  total: number;
}

/** The picture that a result is about: what its boxes are measured in. */
export interface ImageInfo extends Size {
  /** of a file with several, counted from 0 */
  page: number;
  /** how many pages or frames the file has */
  pages: number;
  /** of a PDF: pixels to the inch of the page, with which it was drawn */
  dpi?: number;
  /** degrees clockwise by which the model saw it turned; boxes are in the picture that was not turned */
  rotated: 0 | 90 | 180 | 270;
}

/** How a picture, or a part of it, lies before the model. */
export interface ViewInfo extends Size {
  /** in cells, one token each */
  grid: Size;
  tokens: number;
}

/** What the network's gate says of a question: whether a second look is worth it (Q-Zoom). */
export interface Gate {
  /** 0..1 */
  score: number;
  /** the least score with which it is */
  threshold: number;
  passed: boolean;
}

/** A window of a picture in which the network was asked by itself. */
export interface RoITile {
  /** in pixels of the picture */
  box: Box;
  /** whether anything in it passed the threshold */
  found: boolean;
  /** null where the network has no gate, or it was not asked */
  gate: Gate | null;
}

/** A region as it was read; `view` is what the model sees of its crop, null where there is none. */
export interface SeenRegion extends Region {
  view: ViewInfo | null;
}

interface RoIFields {
  /** what found it */
  method: RegionMethod;
  /** whether anything passed the threshold */
  found: boolean;
  /** what passed it, in pixels of the picture */
  boxes: ScoredBox[];
  /** the same boxes in parts of the picture, 0..1 */
  boxesNormalized: ScoredBox[];
  /**
   * What a second look reads. "none" where nothing was found, unless an answer was asked for with roi "always": then it is
   * the place that was read all the same.
   */
  region: SeenRegion;
  /** all 0 where the gate did not pass: the network was not asked then */
  map: HeatMap;
  /** null where the network has no gate, or it was not asked */
  gate: Gate | null;
  /** what the model saw of the whole picture; with the option `tiles` of each window */
  view: ViewInfo;
  /** with the option `tiles`: the windows in which the network was asked, and the map covers the picture from edge to edge; else null */
  tiles: RoITile[] | null;
  /** the picture's size, and which of a file's pages it is */
  image: ImageInfo;
  hints: Hint[];
  timings: Timings;
}

/** What `predictRoI` resolves to. */
export interface RoI extends RoIFields {
  /** for JSON.stringify: the map's data as an array of numbers */
  toJSON(): Json<RoIFields>;
}

export type FinishReason = "stop" | "length" | "aborted";

export interface Usage {
  /** all tokens of the prompt, those of images included */
  promptTokens: number;
  /** tokens of the whole picture; of several, of all of them */
  imageTokens: number;
  /** tokens of the second look */
  roiTokens: number;
  completionTokens: number;
  /** prompt tokens whose state was reused from an earlier call */
  reusedTokens: number;
}

/** A token, and the natural logarithm of its probability. */
export interface TokenLogprob {
  id: number;
  /** what it writes; bytes that are no whole character on their own are U+FFFD, control tokens have their name */
  text: string;
  logprob: number;
}

/** A token of an answer, with the likeliest tokens in its place. */
export interface TokenLogprobs extends TokenLogprob {
  /** likeliest first; as many as were asked for */
  top: TokenLogprob[];
}

/** One of the texts given as `choices`. */
export interface Choice {
  text: string;
  /** among the choices, which sum to 1 */
  probability: number;
  /** natural logarithm of the probability that the model's answer is this text and nothing more */
  logprob: number;
}

/** What an answer about several pictures says of one of them. */
export interface PicturePart {
  /** its region, which is looked for as if it were alone; null where none was looked for */
  roi: RoI | null;
  /** whether the answer was given with a second look at it */
  usedRoI: boolean;
  /** tokens of its whole view */
  imageTokens: number;
  /** its size, and which of a file's pages it is */
  image: ImageInfo;
}

interface AnswerFields {
  text: string;
  /** where the network looked, or null where it was not asked; of several pictures in the first one */
  roi: RoI | null;
  /** whether the answer was given with a second look */
  usedRoI: boolean;
  finishReason: FinishReason;
  usage: Usage;
  /**
   * With the option `format`: what the text says, by zod's schema or as JSON.parse reads it. Null where the text was cut off, or where
   * it breaks what the grammar could not hold; `hints` says so.
   */
  value?: unknown;
  /** with the option `logprobs`: an entry for each of the `usage.completionTokens` */
  logprobs?: TokenLogprobs[];
  /** with the option `choices`: how likely each is, in the order in which they were given */
  choices?: Choice[];
  /**
   * With `logprobs`: the geometric mean of the tokens' probabilities, 0..1; not there where the answer has no token. With `choices`: the
   * probability of the one that was taken.
   */
  confidence?: number;
  /** the picture's size, and which of a file's pages it is; of several the first one's */
  image: ImageInfo;
  /** of a call with a list of images, be it of one: each of them, in order */
  pictures?: PicturePart[];
  hints: Hint[];
  timings: Timings;
}

/** What `answer` resolves to. */
export interface Answer extends AnswerFields {
  /** for JSON.stringify: the map's data as an array of numbers */
  toJSON(): Json<AnswerFields>;
}

export type AnswerEvent<Whole extends Answer = Answer> =
  /** `picture`: of a list of images, which one the region is in, from 0 */
  | { type: "roi"; roi: RoI; picture?: number }
  | { type: "text"; text: string }
  | { type: "done"; answer: Whole };
