import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine as Core } from "#lib/engine/engine.js";
import { engineOf, pictureOf } from "#lib/model/engine-of.js";
import { loadModel, type Model } from "#lib/model/model.js";
import { viewOfPicture } from "#lib/roi/options.js";
import { regionFromMap } from "#lib/roi/region-from-map.js";
import type { Session } from "#lib/model/session.js";
import type { Timings } from "#lib/base/types.js";
import type { Engine, EngineConfig, Sample, Samples, WorkArgs } from "./protocol.js";
import { fixRegionAndLength } from "./region.js";

/** This library, with a fixed region and answers of a fixed length (see {@link fixRegionAndLength}). */
export async function loadOwn({ files, threads, contextSize, parallel }: EngineConfig): Promise<Engine> {
  const model = await loadModel({ ...files, threads, contextSize, parallel, gpuLayers: 0, sessionCacheBytes: 0 });
  const core = engineOf(model);
  fixRegionAndLength(core);
  const own = new Own(model, core);
  return {
    about: () => describe(model, core),
    work: {
      prefill: own.prefill,
      oneView: own.oneView,
      reference: own.reference,
      answers: own.answers,
      regions: own.regions,
      attention: own.attention,
      binding: own.binding,
      text: own.text,
      picture: own.picture,
      eventLoop: own.eventLoop,
      together: own.together,
    },
    dispose: () => model.dispose(),
  };
}

function describe({ info }: Model, core: Core): Record<string, string> {
  const prefixTokens = core.prefix.length + info.imageTokens;
  const { versions, backend, device, threads } = info;
  return { version: versions.sdRpn, llama: versions.llama, ggml: versions.ggml, backend, device, threads: String(threads), prefixTokens: String(prefixTokens) };
}

/** From the library's timings: the total is the caller's clock, the parts are the native thread's. */
function sample({ total, vision, prefill, rpn, generate }: Timings): Sample {
  return { ms: total, llm: prefill + rpn + generate, vision, prefill, rpn, generate };
}

class Own {
  /** V8 compiles what is called often: a service's later calls are what the core is compared with */
  private warmUps = 20;

  constructor(
    private readonly model: Model,
    private readonly core: Core,
  ) {}

  /** The same prompt through all layers, to its first token: what the regions are measured against. */
  prefill = async ({ images: [image], questions: [question] }: WorkArgs): Promise<Samples> => {
    const { timings, usage } = await this.model.answer(image, question, { roi: "never", maxTokens: 1 });
    return { prefill: { ...sample(timings), promptTokens: usage.promptTokens } };
  };

  oneView = async ({ images: [image], questions: [question], tokens }: WorkArgs): Promise<Samples> => {
    const { timings } = await this.model.answer(image, question, { roi: "never", maxTokens: tokens });
    return { oneView: sample(timings) };
  };

  /**
   * What the reference does for one question: the layers below the branch and the RPN over the whole prompt, then all
   * layers over the longer prompt with nothing kept; two image encodes, picture and crop.
   */
  reference = async ({ images: [image], questions: [question], tokens }: WorkArgs): Promise<Samples> => {
    const { core } = this;
    // the second pass keeps the first one's picture features: its session gets them before the clock starts
    const second = await core.openSession((await core.read(image)).view);
    const start = performance.now();
    const { picture, layout, view } = await core.read(image);
    const first = await core.openSession(view);
    const asked = await core.tokenize(question, 1);
    const roi = await core.roi(first.id, asked, { reserve: 0, gate: null, everyToken: false });
    const { crop } = regionFromMap(roi.logits!, { ...viewOfPicture(layout, picture), threshold: core.defaultThreshold });
    if (!crop) {
      throw new Error("the fixed map has no region");
    }
    core.dropSession(first.id);
    const views = [{ rgb: await picture.crop(crop, layout.pixels), ...layout.pixels, keep: null, box: null }];
    const params = { maxTokens: tokens, temperature: 0, topP: 1, topK: 0, seed: 0, ignoreEos: true, stop: [], grammar: "", logprobs: false, topLogprobs: 0, turn: { keep: false, reuse: false } };
    const answer = await core.answer(second.id, asked, views, params, undefined);
    const ms = performance.now() - start;
    core.dropSession(second.id);
    const phases = [roi.timings, answer.timings];
    const sum = (phase: "prefill" | "rpn" | "generate"): number => phases.reduce((total, timings) => total + timings[phase], 0);
    const vision = first.visionMs + answer.timings.vision;
    return { reference: { ms, llm: sum("prefill") + sum("rpn") + sum("generate"), vision, prefill: sum("prefill"), rpn: sum("rpn"), generate: sum("generate") } };
  };

  /** With a second look: the first question on a picture, and another one. */
  answers = async ({ images: [image], questions, tokens }: WorkArgs): Promise<Samples> => {
    const { session, opened } = await this.open(image);
    const first = await session.answer(questions[0], { maxTokens: tokens });
    const next = await session.answer(questions[1], { maxTokens: tokens });
    await session.dispose();
    if (!first.usedRoI || !next.usedRoI || next.usage.reusedTokens === 0) {
      throw new Error("the answers were not what is to be measured");
    }
    return { first: plus(sample(first.timings), opened), next: { ...sample(next.timings), promptTokens: next.usage.promptTokens } };
  };

  /** The region alone: on a new picture, and again with another question. */
  regions = async ({ images: [image], questions }: WorkArgs): Promise<Samples> => {
    const { session, opened } = await this.open(image);
    const first = await session.predictRoI(questions[0]);
    const repeat = await session.predictRoI(questions[1]);
    await session.dispose();
    return { predictFirst: plus(sample(first.timings), opened), predictRepeat: sample(repeat.timings) };
  };

  /** A region from the model's own attention, as methods without a trained network take it: of a new picture, and again. */
  attention = async ({ images: [image], questions }: WorkArgs): Promise<Samples> => {
    const { core } = this;
    const layers = [Math.floor(core.info.layers / 2)];
    const { session, opened } = await this.open(image);
    const { id } = pictureOf(session)!.session;
    const look = async (question: string): Promise<Sample> => {
      const start = performance.now();
      const { timings } = await core.attention(id, await core.tokenize(question, 0), { layers, maxTokens: 1, question: false });
      return { ms: performance.now() - start, llm: timings.prefill + timings.generate, vision: timings.vision };
    };
    const first = plus(await look(questions[0]), opened);
    const repeat = await look(questions[1]);
    await session.dispose();
    return { attentionFirst: first, attentionRepeat: repeat };
  };

  /** Calls on a session that is open already, which the native benchmark has too, with the one question that it gets. */
  binding = async ({ images: [image], questions: [question] }: WorkArgs): Promise<Samples> => {
    const clock = async (work: () => Promise<{ timings: Timings }>): Promise<Sample> => {
      const start = performance.now();
      const { timings } = await work();
      return sample({ ...timings, total: performance.now() - start });
    };
    let { session } = await this.open(image);
    for (; this.warmUps > 0; this.warmUps--) {
      await session.predictRoI(question);
    }
    await session.dispose();
    ({ session } = await this.open(image));
    const first = await clock(() => session.predictRoI(question));
    const repeat = await clock(() => session.predictRoI(question));
    await session.dispose();
    ({ session } = await this.open(image));
    const prefill = await clock(() => session.answer(question, { roi: "never", maxTokens: 1 }));
    await session.dispose();
    return { full_prefill: prefill, roi_first: first, roi_repeat: repeat };
  };

  /** The language model alone, in tokens per second: a prompt through all layers, then one token after the other. */
  text = async ({ images: [image], questions: [question], tokens }: WorkArgs): Promise<Samples> => {
    const { timings, usage } = await this.model.answer(image, question, { roi: "never", maxTokens: tokens });
    const decode = ((usage.completionTokens - 1) / timings.generate) * 1000;
    return { text: { ms: timings.total, prefillRate: (usage.promptTokens / timings.prefill) * 1000, decodeRate: decode } };
  };

  /** Picture and question to the first token, as the caller sees it. */
  picture = async ({ images: [image], questions: [question] }: WorkArgs): Promise<Samples> => {
    const start = performance.now();
    await this.model.answer(image, question, { roi: "never", maxTokens: 1 });
    return { picture: { ms: performance.now() - start } };
  };

  /** How late timers fire, 99th percentile, while nothing is asked and while answers are made. */
  eventLoop = async (args: WorkArgs): Promise<Samples> => {
    const idle = await delayDuring(async () => sleep(args.seconds * 1000));
    const busy = await delayDuring(async () => {
      const end = performance.now() + args.seconds * 1000;
      while (performance.now() < end) {
        await this.answers(args);
      }
    });
    return { idle: { ms: idle }, busy: { ms: busy } };
  };

  /** Answers about several open pictures, one after the other and at once. Opening and the first look are not counted. */
  together = async ({ images, questions, tokens }: WorkArgs): Promise<Samples> => {
    const sessions = await Promise.all(images.map((image) => this.model.open(image)));
    const options = { roi: "never" as const, maxTokens: tokens };
    for (const session of sessions) {
      await session.answer(questions[1], { ...options, maxTokens: 1 });
    }
    const start = performance.now();
    for (const session of sessions) {
      await session.answer(questions[0], options);
    }
    const middle = performance.now();
    await Promise.all(sessions.map((session) => session.answer(questions[0], options)));
    const end = performance.now();
    await Promise.all(sessions.map((session) => session.dispose()));
    return { inARow: { ms: middle - start }, together: { ms: end - middle } };
  };

  /** A session, and what opening it took: decoding the picture and the vision tower. */
  private async open(image: string): Promise<{ session: Session; opened: Sample }> {
    const start = performance.now();
    const session = await this.model.open(image);
    const ms = performance.now() - start;
    return { session, opened: { ms, vision: pictureOf(session)!.session.visionMs } };
  }
}

/** A call together with the opening before it. */
function plus(call: Sample, opened: Sample): Sample {
  return { ...call, ms: call.ms + opened.ms, vision: (call.vision ?? 0) + (opened.vision ?? 0) };
}

/** In milliseconds; what the monitor's own timer waits is part of it, with and without work alike. */
async function delayDuring(work: () => Promise<unknown>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 2 });
  histogram.enable();
  await work();
  histogram.disable();
  return histogram.percentile(99) / 1e6;
}
