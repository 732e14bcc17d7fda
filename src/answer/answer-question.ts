import { randomInt } from "node:crypto";
import type { z } from "zod";
import type { Engine, Subject } from "../engine/engine.js";
import { abortError, SdRpnError } from "../base/errors.js";
import type { NativeRoI, NativeTimings, NativeView } from "../native/binding.js";
import { throwIfAborted } from "../native/job.js";
import type { answerSchema, PredictOptions } from "./options.js";
import { sigmoid } from "../roi/blur.js";
import { peakRegion } from "../roi/peak-region.js";
import { readMap } from "../roi/propose-region.js";
import type { Answer, Box, RoI, Timings } from "../base/types.js";

export type CheckedAnswerOptions = z.output<typeof answerSchema>;

/** Where a call gets its picture from: decoded for it alone, or held by a session. */
export type OpenSubject = (signal?: AbortSignal) => Promise<Subject>;

/** The region of a question: layers 0..K-1 over the prompt, then the RPN (SD-RPN, arXiv 2509.16944, section 3). */
export async function predict(engine: Engine, open: OpenSubject, question: string, options: PredictOptions): Promise<RoI> {
  engine.requireRpn();
  engine.checkFits(question, 0);
  const clock = new Clock();
  const subject = await open(options.signal);
  clock.add(subject);
  let bytes = 0;
  try {
    const result = await engine.roi(subject.session.id, question, 0, options.signal);
    bytes = result.bytes;
    clock.addNative(result.timings);
    return toRoI(engine, subject, result, options.threshold, clock);
  } finally {
    subject.release(bytes);
  }
}

/** An answer, with a second look where `options.roi` and the map ask for one: its tokens go right after those of the picture, as in the reference. */
export async function ask(engine: Engine, open: OpenSubject, question: string, options: CheckedAnswerOptions, onRoI?: (roi: RoI) => void): Promise<Answer> {
  const { signal } = options;
  if (options.roi === "always") {
    engine.requireRpn();
  }
  const proposes = typeof options.roi === "string" && options.roi !== "never" && engine.info.rpn !== null;
  engine.checkFits(question, Array.isArray(options.roi) ? options.roi.length : proposes ? 1 : 0);
  const clock = new Clock();
  const subject = await open(signal);
  clock.add(subject);
  let bytes = 0;
  try {
    let roi: RoI | null = null;
    let crops: Look[] = [];
    let reused = 0;
    if (proposes) {
      const result = await engine.roi(subject.session.id, question, engine.imageTokens, signal);
      bytes = result.bytes;
      reused = result.reused;
      clock.addNative(result.timings);
      roi = toRoI(engine, subject, result, options.threshold, clock);
      crops = looksOf(engine, subject, roi, result.logits, options.roi === "always");
      onRoI?.(roi);
    } else if (Array.isArray(options.roi)) {
      crops = options.roi.map((box) => ({ box: inside(box, subject.picture), keep: null }));
    }

    const cropStart = performance.now();
    const views: NativeView[] = [];
    for (const { box, keep } of crops) {
      throwIfAborted(signal);
      views.push({ rgb: await subject.picture.crop(box, engine.info.vision.side), keep });
    }
    clock.timings.crop += performance.now() - cropStart;

    const result = await engine.answer(subject.session.id, question, views, generateParams(options), options.onToken, signal);
    bytes = result.bytes;
    clock.addNative(result.timings);
    const answer: Answer = {
      text: result.text,
      roi,
      usedRoI: views.length > 0,
      finishReason: result.finishReason,
      usage: {
        promptTokens: result.promptTokens,
        imageTokens: engine.imageTokens,
        roiTokens: result.roiTokens,
        completionTokens: result.completionTokens,
        // the region's own pass has put the prefix there for this call, unless it found it
        reusedTokens: proposes ? reused : result.reusedTokens,
      },
      timings: clock.stop(),
    };
    if (result.finishReason === "aborted") {
      throw Object.assign(abortError(signal), { answer });
    }
    return answer;
  } finally {
    subject.release(bytes);
  }
}

interface Look {
  box: Box;
  keep: Int32Array | null;
}

function looksOf(engine: Engine, { picture }: Subject, { region }: RoI, logits: Float32Array, always: boolean): Look[] {
  if (region.crop) {
    return [{ box: region.crop, keep: region.keep && Int32Array.from(region.keep) }];
  }
  if (!always) {
    return [];
  }
  const { region: peak } = peakRegion(logits, sizes(engine, picture));
  return peak.crop ? [{ box: peak.crop, keep: null }] : [];
}

function sizes({ info }: Engine, { width, height }: { width: number; height: number }) {
  const { grid, side } = info.vision;
  return { grid: { width: grid, height: grid }, image: { width, height }, model: { width: side, height: side } };
}

function toRoI(engine: Engine, { picture }: Subject, { logits }: NativeRoI, threshold: number | undefined, clock: Clock): RoI {
  const options = sizes(engine, picture);
  const data = sigmoid(logits);
  const { boxes, region } = readMap(data, { ...options, threshold: threshold ?? engine.defaultThreshold });
  const map = { ...options.grid, data };
  return { found: region.kind !== "none", boxes, region, map, timings: clock.stop() };
}

/** A box of the caller's, cut to the picture. */
function inside({ x, y, width, height }: Box, picture: { width: number; height: number }): Box {
  const left = Math.max(0, Math.floor(x));
  const top = Math.max(0, Math.floor(y));
  const right = Math.min(picture.width, Math.ceil(x + width));
  const bottom = Math.min(picture.height, Math.ceil(y + height));
  if (left >= right || top >= bottom) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected boxes that overlap the ${picture.width}x${picture.height} picture for roi but received one at ${x},${y} of size ${width}x${height}`,
    );
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function generateParams(options: CheckedAnswerOptions) {
  const { maxTokens, temperature, topP, topK, seed, stop } = options;
  return {
    maxTokens,
    temperature,
    topP,
    topK,
    seed: seed ?? randomInt(2 ** 32),
    ignoreEos: false,
    stop: typeof stop === "string" ? [stop] : stop,
  };
}

/** Collects the phases of one call. */
class Clock {
  readonly timings: Timings = { decode: 0, vision: 0, prefill: 0, rpn: 0, crop: 0, generate: 0, total: 0 };
  private readonly start = performance.now();

  add({ decodeMs, visionMs }: Subject): void {
    this.timings.decode += decodeMs;
    this.timings.vision += visionMs;
  }

  addNative({ vision, prefill, rpn, generate }: NativeTimings): void {
    this.timings.vision += vision;
    this.timings.prefill += prefill;
    this.timings.rpn += rpn;
    this.timings.generate += generate;
  }

  /** The phases so far, with the time since the call began as total. */
  stop(): Timings {
    return { ...this.timings, total: performance.now() - this.start };
  }
}
