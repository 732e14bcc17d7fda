import type { operations } from "./floor.js";
import type { Measured } from "./measure.js";
import { PEERS } from "./peers.js";
import type { Sample } from "./protocol.js";
import type { Results } from "./run.js";
import { pairedRatios, summarize, type Summary } from "./stats.js";

/** One figure of the report with what it is to reach. */
export interface Target {
  name: string;
  /** of the paired measurements; undefined where they are missing */
  figure?: Summary;
  limit: number;
  /** whether the limit is a lower bound */
  atLeast: boolean;
  unit: "ratio" | "ms";
  met: boolean | null;
  /** the same without the vision tower and the handling of pictures */
  withoutVision?: Summary;
  /** what counting multiplications gives for the part without vision, see {@link operations} */
  floor?: number;
  note?: string;
}

type Figure = (sample: Sample) => number;

const total: Figure = (sample) => sample.ms;
const llm: Figure = (sample) => sample.llm ?? NaN;

/** Ratios of two kinds of calls of one phase, round by round. */
function ratio(measured: Measured | undefined, a: string, figureA: Figure, b: string, figureB: Figure): Summary | undefined {
  const [over, under] = [measured?.[a], measured?.[b]];
  return over && under && summarize(pairedRatios(over.map(figureA), under.map(figureB)));
}

function target(name: string, limit: number, figure: Summary | undefined, more: Partial<Target> = {}): Target {
  const atLeast = more.atLeast ?? false;
  const met = figure === undefined ? null : atLeast ? figure.median >= limit : figure.median <= limit;
  return { name, figure, limit, atLeast, unit: "ratio", met, ...more };
}

/** All targets, in the order of the report. */
export function targets({ measured }: Results, cost: ReturnType<typeof operations>): Target[] {
  const { flow, head, parallel, loop } = measured;
  return [
    target("predictRoI, first on an image, language model's part / full prefill", 0.6, ratio(flow, "predictFirst", llm, "prefill", llm), {
      floor: cost.regionFirst / cost.prefill,
    }),
    target("predictRoI, repeat on the image, whole call / full prefill", 0.08, ratio(flow, "predictRepeat", total, "prefill", llm), {
      withoutVision: ratio(flow, "predictRepeat", llm, "prefill", llm),
      floor: cost.regionRepeat / cost.prefill,
    }),
    target("answer with RoI, first question / reference flow", 0.88, ratio(flow, "first", total, "reference", total), {
      withoutVision: ratio(flow, "first", llm, "reference", llm),
      floor: cost.first / cost.reference,
    }),
    target("answer with RoI, next question / reference flow", 0.48, ratio(flow, "next", total, "reference", total), {
      withoutVision: ratio(flow, "next", llm, "reference", llm),
      floor: cost.next / cost.reference,
    }),
    target("head of a first question / head with keys", 0.15, ratio(head, "head_first", total, "head_keys_first", total)),
    ...besidePeers(measured),
    ...binding(measured.binding),
    eventLoop(loop),
    target("4 sessions decoding at once / in a row", 0.75, ratio(parallel, "together", total, "inARow", total)),
  ];
}

/** Against the fastest peer: the one that leaves the smallest ratio. */
function besidePeers(measured: Results["measured"]): Target[] {
  const best = (name: string, work: string, figure: Figure, invert: boolean): Target => {
    const ratios = PEERS.flatMap((peer) => {
      const phase = measured[`peers ${peer}`];
      const found = invert ? ratio(phase, `${work} peer`, figure, work, figure) : ratio(phase, work, figure, `${work} peer`, figure);
      return found ? [{ peer, found }] : [];
    }).sort((a, b) => a.found.median - b.found.median);
    return target(name, 0.97, ratios[0]?.found, { atLeast: true, note: ratios.map(({ peer, found }) => `${peer}: ${found.median.toFixed(3)}`).join(", ") });
  };
  return [
    best("prefill, tokens per second / best peer", "text", (sample) => sample.prefillRate ?? NaN, false),
    best("decode, tokens per second / best peer", "text", (sample) => sample.decodeRate ?? NaN, false),
    best("picture and question to the first token, speed / best peer", "picture", total, true),
  ];
}

/**
 * Per kind of call: at most 5 % above the native program's time, or 2 ms above what the core took within the same call, which
 * no neighbour of the machine disturbs.
 */
function binding(measured: Measured | undefined): Target[] {
  return ["full_prefill", "roi_first", "roi_repeat"].map((name) => {
    const figure = ratio(measured, name, total, `${name} native`, total);
    const more = measured?.[name]?.map(({ ms, llm }) => ms - (llm ?? NaN));
    const extra = more && summarize(more);
    const result = target(`JS call / native bench, ${name.replace("_", " ")}`, 1.05, figure, { note: extra && `${extra.median.toFixed(2)} ms a call beside the core's time` });
    return extra && extra.median < 2 ? { ...result, met: true } : result;
  });
}

function eventLoop(loop: Measured | undefined): Target {
  const above = loop && summarize(loop.busy.map((busy, i) => busy.ms - loop.idle[i].ms));
  const note = loop && `idle ${summarize(loop.idle.map(total)).median.toFixed(2)} ms`;
  return target("event-loop delay p99 while answering, above the idle loop", 20, above, { unit: "ms", note });
}
