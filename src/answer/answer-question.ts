import { randomInt } from "node:crypto";
import { abortError } from "../base/errors.js";
import { withJson } from "../base/json.js";
import type { Answer, Turn } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import { isSeveral, type Subject } from "../engine/opened-picture.js";
import { usePictures } from "../engine/pictures-in-use.js";
import type { NativeTurn, NativeView } from "../native/binding.js";
import { choose } from "./choose.js";
import { Clock } from "./clock.js";
import { confidenceOf } from "./confidence.js";
import { methodOfAnswer } from "./methods/choose-method.js";
import { readForm } from "./form/read-form.js";
import { lookAt, type Looked } from "./look.js";
import type { CheckedAnswerOptions } from "./options.js";
import { alignedOf, gateOf, tilesOf, viewsOfCall } from "./settings.js";
import { countOf, hintsOfPictures, type OnRoI, partsOf } from "./several.js";

/** An answer, with a second look if `options.roi` and the map ask for one: its tokens follow those of the picture, as in the reference. */
export async function answerQuestion(engine: Engine, subject: Subject, question: string, options: CheckedAnswerOptions, onRoI?: OnRoI): Promise<Answer> {
  const { signal, history } = options;
  const several = isSeveral(subject);
  const method = methodOfAnswer(engine, options);
  const gate = gateOf(engine, options.gate, method, options.roi);
  const aligned = alignedOf(engine, options.roiPositions, options.roi);
  const tiles = tilesOf(options.tiles, method);
  const views = viewsOfCall(engine, subject, options);
  const clock = new Clock();
  if (options.grammar !== undefined) {
    await engine.checkGrammar(options.grammar, signal);
  }
  const count = countOf(subject, options.roi);
  const mostLooks = Array.isArray(options.roi) ? options.roi.length : method ? count : 0;
  const preamble = await engine.preambleOf(subject, options.system, signal);
  const setting = { views, preamble };
  const all = { views, preamble: await engine.preambleOfAll(preamble, count, views, signal) };
  const prompt = await engine.tokenize(question, mostLooks, signal, { ...all, history });
  // a region is looked for with the question and one picture alone, as networks are trained
  const tokens = method && (several || history?.length) ? await engine.tokenize(question, 1, signal, setting) : prompt;
  const choices = options.choices && { texts: options.choices, tokens: await engine.tokenizeAnswers(options.choices, prompt, mostLooks, signal, all) };
  const used = await usePictures(engine, subject, signal, setting, all.preamble);
  clock.add(used);
  const looked: Looked[] = [];
  let bytes = 0;
  try {
    const asked = { method, aligned, tiles, roi: options.roi, question, tokens, threshold: options.threshold, reserve: views.tokens.max, gate, forAnswer: !several, signal };
    for (const [index, picture] of used.pictures.entries()) {
      looked.push(await lookAt(engine, picture, { ...asked, onRoI: onRoI && ((roi) => onRoI(roi, several ? index : undefined)) }, clock));
    }
    const [{ roi, pruned, reused }] = looked;
    const looks = looked.flatMap((each, picture) => each.views.map((view) => ({ ...view, picture })));
    const session = pruned ?? used.session.id;
    const result = choices
      ? await choose(engine, session, prompt, looks, choices, turnOf(history), signal)
      : await write(engine, session, prompt, looks, options);
    bytes = pruned === null ? result.bytes : looked[0].bytes;
    clock.addNative(result.timings);
    if (choices) {
      options.onToken?.(result.text);
    }
    const { value, hints } = await readForm(options.form, result);
    const answer: Answer = withJson({
      text: result.text,
      roi,
      usedRoI: looks.length > 0,
      finishReason: result.finishReason,
      usage: {
        promptTokens: result.promptTokens,
        imageTokens: looked.reduce((sum, { imageTokens }) => sum + imageTokens, 0),
        roiTokens: result.roiTokens,
        completionTokens: result.completionTokens,
        // where the network was asked first, that pass computed or reused the prefix for this call
        reusedTokens: (method === "rpn" && !several ? reused : result.reusedTokens) + result.earlierTokens,
      },
      ...(options.form && { value }),
      ...result.sureness,
      image: { ...used.pictures[0].source.info },
      ...(several && { pictures: partsOf(used, looked) }),
      hints: [...looked.flatMap((each) => each.hints), ...hintsOfPictures(engine, count), ...hints],
      timings: clock.stop(),
    });
    if (result.finishReason === "aborted") {
      throw abortError(signal, answer);
    }
    return answer;
  } finally {
    for (const { pruned } of looked) {
      if (pruned !== null) engine.dropSession(pruned);
    }
    used.release(looked.map((each) => each.bytes), bytes);
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
