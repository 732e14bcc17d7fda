import { randomInt } from "node:crypto";
import { abortError } from "../base/errors.js";
import { withJson } from "../base/json.js";
import type { Answer, RoI, Turn } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import type { NativeTurn, NativeView } from "../native/binding.js";
import type { TakenPicture } from "../image/taken-picture.js";
import { cellCount } from "../image/view-layout.js";
import { choose } from "./choose.js";
import { Clock } from "./clock.js";
import { confidenceOf } from "./confidence.js";
import { METHODS, methodOfAnswer } from "./methods/choose-method.js";
import { readForm } from "./form/read-form.js";
import type { CheckedAnswerOptions } from "./options.js";
import { regionResult } from "./region-result.js";
import { alignedOf, gateOf, viewsOfCall } from "./settings.js";
import { cutViews, type Look, looksAtBoxes, looksOfRegion } from "./second-look.js";

/** An answer, with a second look if `options.roi` and the map ask for one: its tokens follow those of the picture, as in the reference. */
export async function answerQuestion(
  engine: Engine,
  picture: TakenPicture | OpenedPicture,
  question: string,
  options: CheckedAnswerOptions,
  onRoI?: (roi: RoI) => void,
): Promise<Answer> {
  const { signal } = options;
  const method = methodOfAnswer(engine, options);
  const gate = gateOf(engine, options.gate, method, options.roi);
  const aligned = alignedOf(engine, options.roiPositions, options.roi);
  const views = viewsOfCall(engine, picture, options);
  const clock = new Clock();
  if (options.grammar !== undefined) {
    await engine.checkGrammar(options.grammar, signal);
  }
  const { history } = options;
  const mostLooks = Array.isArray(options.roi) ? options.roi.length : method ? 1 : 0;
  const preamble = await engine.preambleOf(picture, options.system, signal);
  const setting = { views, preamble };
  const prompt = await engine.tokenize(question, mostLooks, signal, { ...setting, history });
  // the region is looked for with the question alone, as networks are trained
  const tokens = history?.length && method ? await engine.tokenize(question, mostLooks, signal, setting) : prompt;
  const choices = options.choices && { texts: options.choices, tokens: await engine.tokenizeAnswers(options.choices, prompt, mostLooks, signal, setting) };
  const used = await engine.usePicture(picture, signal, setting);
  clock.add(used);
  const opened = used.picture;
  let bytes = 0;
  let pruned: number | null = null;
  try {
    let session = opened.session.id;
    let imageTokens = cellCount(opened.layout);
    let roi: RoI | null = null;
    let looks: Look[] = [];
    let reused = 0;
    if (method) {
      const asked = { picture: opened, question, tokens, threshold: options.threshold, reserve: views.tokens.max, gate, forAnswer: true, signal };
      const proposed = await METHODS[method](engine, asked);
      bytes = proposed.bytes;
      reused = proposed.reused;
      clock.addNative(proposed.timings);
      const { region, cells } = options.roi === "always" && proposed.region.kind === "none" ? proposed.likeliest() : proposed;
      roi = regionResult(method, proposed, opened, clock.stop(), region);
      looks = looksOfRegion(region, cells);
      if (proposed.pruned) {
        session = pruned = await engine.prunedSession(session, proposed.pruned, signal);
        imageTokens = proposed.pruned.length;
      }
      onRoI?.(roi);
    } else if (Array.isArray(options.roi)) {
      looks = looksAtBoxes(options.roi, opened);
    }

    const cropStart = performance.now();
    const cut = await cutViews(opened, looks, aligned, signal);
    clock.timings.crop += performance.now() - cropStart;

    const result = choices
      ? await choose(engine, session, prompt, cut, choices, turnOf(history), signal)
      : await write(engine, session, prompt, cut, options);
    bytes = pruned === null ? result.bytes : bytes;
    clock.addNative(result.timings);
    if (choices) {
      options.onToken?.(result.text);
    }
    const { value, hints } = await readForm(options.form, result);
    const answer: Answer = withJson({
      text: result.text,
      roi,
      usedRoI: cut.length > 0,
      finishReason: result.finishReason,
      usage: {
        promptTokens: result.promptTokens,
        imageTokens,
        roiTokens: result.roiTokens,
        completionTokens: result.completionTokens,
        // where the network was asked first, that pass computed or reused the prefix for this call
        reusedTokens: (method === "rpn" ? reused : result.reusedTokens) + result.earlierTokens,
      },
      ...(options.form && { value }),
      ...result.sureness,
      image: { ...opened.source.info },
      hints: [...(roi?.hints ?? opened.source.hints), ...hints],
      timings: clock.stop(),
    });
    if (result.finishReason === "aborted") {
      throw abortError(signal, answer);
    }
    return answer;
  } finally {
    if (pruned !== null) {
      engine.dropSession(pruned);
    }
    used.release(bytes);
  }
}

/** The answer as the model writes it, and how sure it was where that was asked for. */
async function write(engine: Engine, session: number, tokens: Int32Array, views: NativeView[], options: CheckedAnswerOptions) {
  const { logprobs, ...result } = await engine.answer(session, tokens, views, generateParams(options), options.onToken, options.signal);
  return { ...result, sureness: logprobs && { logprobs, ...confidenceOf(logprobs) } };
}

/** A call with a history, be it empty, is one of a conversation. */
function turnOf(history: readonly Turn[] | undefined): NativeTurn {
  return { keep: history !== undefined, reuse: history !== undefined && history.length > 0 };
}

function generateParams(options: CheckedAnswerOptions) {
  const { maxTokens, temperature, topP, topK, seed, stop, grammar, form, logprobs } = options;
  return {
    maxTokens,
    temperature,
    topP,
    topK,
    seed: seed ?? randomInt(2 ** 32),
    ignoreEos: false,
    stop: typeof stop === "string" ? [stop] : stop,
    grammar: form?.grammar ?? grammar ?? "",
    logprobs: logprobs !== false,
    topLogprobs: typeof logprobs === "number" ? logprobs : 0,
    turn: turnOf(options.history),
  };
}
