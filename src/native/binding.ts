import type { Box, Size, TokenLogprobs } from "../base/types.js";
import { loadBinary } from "./loader.js";

/** A job on a native thread; `cancel(id)` of its object ends it early. */
export interface NativeJob<T> {
  id: number;
  promise: Promise<T>;
}

export interface NativeTimings {
  vision: number;
  prefill: number;
  rpn: number;
  generate: number;
}

export interface NativeRpnInfo {
  branchLayer: number;
  blockCount: number;
  embeddingLength: number;
  headCount: number;
  threshold: number;
  type: string;
  baseName: string;
  baseVocabSize: number;
  /** which rules the region and the second look follow */
  kind: "llava" | "sdrpn-qwen" | "qzoom";
  /** positions of a second look's rows: new ones, or those of the cells that it shows */
  roiPositions: "fresh" | "aligned";
  /** budget of a view in tokens; null: the file names none */
  imageTokens: { min: number; max: number } | null;
  /** says whether a second look is worth it; threshold 0: off unless asked for */
  gate: { blockCount: number; threshold: number } | null;
}

export interface NativeModelInfo {
  architecture: string;
  name: string;
  chatTemplate: string | null;
  bosText: string;
  eosText: string;
  addBos: boolean;
  /** bytes of the vocabulary's longest token */
  longestToken: number;
  layers: number;
  embeddingLength: number;
  headCount: number;
  vocabSize: number;
  trainedContext: number;
  contextSize: number;
  threads: number;
  parallel: number;
  backend: string;
  device: string;
  llamaVersion: string;
  ggmlVersion: string;
  vision: {
    family: "llava" | "qwen2.5-vl" | "qwen3-vl";
    /** pixels of a token's side */
    cell: number;
    /** numbers that the tower gives for a token */
    featureLength: number;
    /** of every picture; of towers that take views of any size, one that is usual */
    view: Size;
    grid: Size;
    /** memory that a view takes in the tower: for each patch, of which a cell of Qwen-VL's has four, and for each pair of patches */
    patchBytes: number;
    pairBytes: number;
    projector: string;
    name: string;
    fill: [number, number, number];
  };
  rpn: NativeRpnInfo | null;
}

/** In markup control tokens are parsed, in text nothing is. */
export interface NativeSegment {
  kind: "markup" | "text";
  text: string;
}

export interface NativeView {
  rgb: Uint8Array;
  width: number;
  height: number;
  /** cells whose tokens are fed; null: all */
  keep: Int32Array | null;
  /** of a second look: the cells [x0, y0, x1, y1] of the picture whose positions its own are spread over; null: positions of its own */
  box: Int32Array | null;
  /** with `box`: which picture of the session's; default 0 */
  picture?: number;
}

/** What a call leaves to the next one of its conversation, and takes of the last one. */
export interface NativeTurn {
  /** leave the state of prompt and answer to the session */
  keep: boolean;
  /** begin with what the last turn left, as far as the prompt begins with the same */
  reuse: boolean;
}

export interface NativeGenerateParams {
  maxTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  seed: number;
  ignoreEos: boolean;
  stop: string[];
  /** in GBNF; "": none */
  grammar: string;
  /** the log-probability of each token, and those of `topLogprobs` of the likeliest in its place */
  logprobs: boolean;
  topLogprobs: number;
  turn: NativeTurn;
}

interface NativeCounts {
  /** what keeping the session costs now */
  bytes: number;
  timings: NativeTimings;
}

export interface NativeRegionParams {
  /** tokens to be kept free in the context */
  reserve: number;
  /** the least score of the network's gate with which the network is asked; null: the gate is not */
  gate: number | null;
  /** `most` too */
  everyToken: boolean;
}

export interface NativeRoI extends NativeCounts {
  /** null where the gate's score was too low */
  logits: Float32Array | null;
  /** for each cell the greatest logit of any token after the picture, where asked for */
  most: Float32Array | null;
  /** logits of each cell's being a sink, of networks that find sinks without a question */
  sink: Float32Array | null;
  /** the gate's score, where it was asked */
  gate: number | null;
  reused: number;
  promptTokens: number;
}

export interface NativeAnswer extends NativeCounts {
  text: string;
  finishReason: "stop" | "length" | "aborted";
  promptTokens: number;
  roiTokens: number;
  /** of [system][image] */
  reusedTokens: number;
  /** of what follows, left by the turn before */
  earlierTokens: number;
  completionTokens: number;
  /** null where not asked for */
  logprobs: TokenLogprobs[] | null;
}

export interface NativeChoices extends NativeCounts {
  /** of each choice, its end included */
  logprobs: Float64Array;
  promptTokens: number;
  roiTokens: number;
  reusedTokens: number;
  earlierTokens: number;
}

export interface NativeAttentionParams {
  /** requested ones, without duplicates */
  layers: Int32Array;
  maxTokens: number;
  /** the question-to-image maps too */
  question: boolean;
}

export interface NativeAttention {
  /** per layer */
  heads: number;
  /** tokens of the picture */
  cells: number;
  /** [layers][heads][cells] */
  output: Float32Array;
  question: Float32Array | null;
  text: string;
  tokens: number[];
  logLikelihood: number;
  timings: NativeTimings;
}

export interface NativeLabelParams {
  /** layer, head, layer, head ... */
  grounding: Int32Array;
  sink: Int32Array;
  maxTokens: number;
}

export interface NativeLabelMaps {
  grounding: Float32Array;
  sink: Float32Array;
  text: string;
  tokens: number;
  logLikelihood: number;
  timings: NativeTimings;
}

export interface NativeRankedHead {
  layer: number;
  head: number;
  grounding: number;
  sink: number;
}

export interface NativeWorker {
  cancel(id: number): void;
  /** to be called once; waiting jobs reject with DISPOSED */
  close(): Promise<void>;
}

export interface NativeModel extends NativeWorker, NativeTraining {
  load(
    params: { model: string; mmproj: string; rpn: string; gpuLayers: number; threads: number; contextSize: number; parallel: number; memory: number },
    onProgress?: (fraction: number) => void,
  ): NativeJob<NativeModelInfo>;
  /** adjacent segments are tokenized as one text; runs between the steps of answers */
  tokenize(segments: readonly NativeSegment[], addBos: boolean): NativeJob<Int32Array>;
  /** the tokens by which the model writes each text behind a prompt that ends with the markup; runs between the steps of answers */
  tokenizeAnswers(markup: string, texts: readonly string[]): NativeJob<Int32Array[]>;
  /** rejects where the text is no grammar; runs between the steps of answers */
  checkGrammar(text: string): NativeJob<void>;
  /** `tokens`: those before the image */
  open(tokens: Int32Array, view: NativeView): NativeJob<NativeCounts & { session: number; tokens: number }>;
  /** a session of the same picture of which only these cells are fed, for answers; to be dropped by itself */
  prune(session: number, keep: Int32Array): NativeJob<NativeCounts & { session: number; tokens: number }>;
  /** a session of all pictures of these, for answers; `tokens`: those before the first one, `between`: those between one and the next */
  join(tokens: Int32Array, sessions: Int32Array, between: Int32Array[]): NativeJob<NativeCounts & { session: number; tokens: number }>;
  drop(session: number): NativeJob<void>;
  encode(view: NativeView): NativeJob<Float32Array>;
  /** `tokens` here and below: those after the image */
  roi(session: number, tokens: Int32Array, params: NativeRegionParams): NativeJob<NativeRoI>;
  answer(session: number, tokens: Int32Array, views: NativeView[], params: NativeGenerateParams, onText?: (text: string) => void): NativeJob<NativeAnswer>;
  /** how likely each choice, given by its tokens, is as the answer */
  choose(session: number, tokens: Int32Array, views: NativeView[], choices: Int32Array[], turn: NativeTurn): NativeJob<NativeChoices>;
  attention(session: number, tokens: Int32Array, params: NativeAttentionParams): NativeJob<NativeAttention>;
  labelMaps(session: number, tokens: Int32Array, params: NativeLabelParams): NativeJob<NativeLabelMaps>;
  /** begins a ranking of heads, to be dropped */
  headsStart(params: { lattice: number; window: number; uncertainty: number; maxTokens: number }): NativeJob<number>;
  /**
   * Whether the pair was useful; `rgb` is read in place and must not change before the promise settles. `system`, `question`
   * and `other`, a different question's or none, are tokens.
   */
  headsAdd(ranking: number, rgb: Uint8Array, width: number, height: number, system: Int32Array, question: Int32Array, other: Int32Array): NativeJob<boolean>;
  headsRank(ranking: number): NativeJob<{ used: number; passed: number; heads: NativeRankedHead[] }>;
  headsDrop(ranking: number): NativeJob<void>;
}

/** Training of a network on a loaded model; `training` is what trainStart gave, `ids` are numbers of the caller's. */
export interface NativeTraining {
  /** the note of a checkpoint */
  trainNote(path: string): NativeJob<string>;
  trainStart(params: {
    /** path of a checkpoint to resume from, or "" */
    checkpoint: string;
    branchLayer: number;
    blockCount: number;
    beta1: number;
    beta2: number;
    epsilon: number;
    weightDecay: number;
    maxGradNorm: number;
    workers: number;
    threads: number;
  }): NativeJob<{ training: number; step: number }>;
  /** hidden states of questions in front of one view; resolves to the bytes they take */
  trainAdd(
    training: number,
    system: Int32Array,
    view: NativeView,
    pairs: readonly { id: number; tokens: Int32Array; labels: Int8Array }[],
  ): NativeJob<number>;
  trainDrop(training: number, ids: Int32Array): NativeJob<void>;
  trainAccumulate(training: number, ids: Int32Array): NativeJob<void>;
  trainClear(training: number): NativeJob<void>;
  trainStep(training: number, rate: number): NativeJob<{ loss: number; gradNorm: number; cells: number }>;
  trainEval(
    training: number,
    ids: Int32Array,
  ): NativeJob<{ lossSum: number; cells: number; truePositives: number; falsePositives: number; falseNegatives: number }>;
  trainCheckpoint(training: number, path: string, note: string): NativeJob<void>;
  trainSave(training: number, path: string, type: string, threshold: number): NativeJob<void>;
  trainEnd(training: number): NativeJob<void>;
  /** learning rate of a step, counted from 0; synchronous */
  trainRate(peak: number, step: number, steps: number, warmup: number): number;
  /** a permutation of 0..n-1; synchronous */
  trainOrder(n: number, seed: number, epoch: number): Int32Array;
}

export interface NativeRpn extends NativeWorker {
  load(params: { path: string; gpu: boolean; threads: number }): NativeJob<NativeRpnInfo>;
  score(hidden: Float32Array, tokens: number, imageStart: number, imageTokens: number, queryIndex: number): NativeJob<Float32Array>;
}

export interface NativeConverter extends NativeWorker {
  run(
    params: { checkpoint: string; base: string[]; out: string; whole: boolean; type: string; name: string; threshold: number | null },
    onProgress?: (fraction: number) => void,
  ): NativeJob<{ tensors: number; bytesRead: number; bytesWritten: number; files: string[]; fallbacks: string[] }>;
}

export interface NativeResampler extends NativeWorker {
  /**
   * `rgb` (width x height x 3 bytes) is not copied but read on the native thread: it must not change before the promise
   * settles. `window` is in whole pixels; the result is RGB of `size`.
   */
  run(
    rgb: Uint8Array,
    width: number,
    height: number,
    window: Box,
    size: Size,
    filter: "bicubic" | "bilinear",
    fill: readonly [number, number, number],
  ): NativeJob<Buffer>;
  /**
   * Lays `rgba` on a background, which is left out where that is null or alpha is 0 everywhere. `out`, 3 bytes a pixel, is written on the native
   * thread, where `rgba` is read: neither must be touched before the promise settles.
   */
  flatten(rgba: Uint8Array, background: readonly [number, number, number] | null, out: Uint8Array): NativeJob<void>;
}

export interface NativeBinding {
  Model: new (onLog?: (level: LogLevel, text: string) => void) => NativeModel;
  Rpn: new () => NativeRpn;
  Converter: new () => NativeConverter;
  Resampler: new () => NativeResampler;
  /** the grammar of a schema that src/answer/form has reduced; throws where there is none */
  grammarOfSchema(json: string): string;
  /** Ends all work of this environment and waits for its threads; every object is disposed afterwards. */
  shutdown(): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

let loaded: NativeBinding | undefined;

/** The addon's exports; loaded at the first call, so that importing the library never fails. */
export function binding(): NativeBinding {
  if (!loaded) {
    const addon = loadBinary() as NativeBinding;
    // process.exit() and uncaught exceptions do not run the addon's cleanup hooks, and its threads must end before their statics are destroyed
    process.once("exit", () => addon.shutdown());
    loaded = addon;
  }
  return loaded;
}
