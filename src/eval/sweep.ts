import type { AppendLog } from "../data/append-log.js";
import { continueLog } from "../data/continue-log.js";
import type { Engine } from "../engine/engine.js";
import { mapOf, regionOfMap } from "../answer/methods/rpn.js";
import { cellCount } from "../image/view-layout.js";
import type { Views } from "../engine/views.js";
import { OpenedPicture } from "../engine/opened-picture.js";
import { SdRpnError } from "../base/errors.js";
import type { Asked } from "./methods/method.js";
import { Rpn } from "./methods/rpn.js";
import { failedPrediction, type Prediction, toPrediction } from "./prediction.js";
import { bootstrap, mean } from "./statistics.js";
import type { EvalItem, Figure, ScoredItem, Task } from "./task.js";
import { lineKey } from "./ask-items.js";
import { asReference } from "../image/taken-picture.js";

export interface SweepPoint {
  threshold: number;
  /** the task's main figure on the development part, with its 95% bootstrap interval */
  value: number;
  low: number;
  high: number;
  /** share of the items where a region was found */
  found: number;
  /** mean tokens of the second look */
  roiTokens: number;
}

/** Accuracy against threshold, on the development part. */
export interface SweepCurve {
  items: number;
  /** name of the figure */
  figure: Pick<Figure, "label" | "unit">;
  /** by threshold, ascending */
  points: SweepPoint[];
  /** the threshold of the best value; of equal ones the largest, which needs the fewest second looks */
  best: number;
}

export interface SweepOptions {
  engine: Engine;
  /** how pictures are seen */
  views: Views;
  /** least score of the gate; null: it is not asked */
  gate: number | null;
  task: Task;
  items: readonly EvalItem[];
  thresholds: readonly number[];
  maxTokens: number;
  strict: boolean;
  log: AppendLog;
  onPrediction: (prediction: Prediction) => void;
  signal?: AbortSignal;
}

/** The method name of a threshold's lines in sweep.jsonl. */
export function sweepMethod(threshold: number): string {
  return `rpn@${threshold}`;
}

/**
 * Answers every item at every threshold; thresholds that give the same region share one answer, since the map does not depend
 * on the threshold.
 *
 * @throws {SdRpnError} DATA_INVALID for an item without answers
 */
export async function askSweep(options: SweepOptions): Promise<void> {
  const { items, thresholds, log, onPrediction } = options;
  const jobs = [...items.entries()].flatMap(([index, item]) => thresholds.map((threshold): Job => ({ index, item, threshold })));
  const idOf = ({ index, threshold }: Job): string => lineKey({ index, method: sweepMethod(threshold) });
  await continueLog({ log, items: jobs, idOf, work: (todo) => askJobs(todo, options), onEntry: onPrediction });
}

interface Job {
  index: number;
  item: EvalItem;
  threshold: number;
}

async function* askJobs(jobs: readonly Job[], { engine, views, gate, task, thresholds, maxTokens, strict, signal }: SweepOptions): AsyncGenerator<Prediction, void, undefined> {
  let last: { index: number; answers: Answers } | undefined;
  for (const [at, { index, item, threshold }] of jobs.entries()) {
    if (last?.index !== index) {
      if (item.answers.length === 0) {
        throw new SdRpnError("DATA_INVALID", `Expected answers in the development part but item ${item.id} has none: sweep on a part whose answers are public`);
      }
      const waiting = jobs.slice(at, at + thresholds.length).filter((job) => job.index === index).map((job) => job.threshold);
      last = { index, answers: await withSession(engine, views, item, maxTokens, signal, (asked) => askThresholds(engine, asked, waiting, gate)) };
    }
    const key = { index, id: item.id, method: sweepMethod(threshold) };
    const answer = last.answers.get(threshold);
    yield answer ? toPrediction(key, answer, task.score(item, answer.text, { strict })) : failedPrediction(key, "CONTEXT_OVERFLOW", true);
  }
}

type Answers = Map<number, Awaited<ReturnType<Rpn["answer"]>>>;

async function askThresholds(engine: Engine, asked: Asked, thresholds: readonly number[], gate: number | null): Promise<Answers> {
  const tokens = await engine.tokenize(asked.prompt, 1, asked.signal, { views: asked.picture.views });
  const { layout, session } = asked.picture;
  const told = mapOf(await engine.roi(session.id, tokens, { reserve: 0, gate: null, everyToken: false }, asked.signal), cellCount(layout));
  const seen = new Map<string, Awaited<ReturnType<Rpn["answer"]>>>();
  const answers: Answers = new Map();
  for (const threshold of thresholds) {
    const region = JSON.stringify(regionOfMap(engine, asked.picture, told, threshold).region);
    const answer = seen.get(region) ?? (await new Rpn(engine, threshold, gate).answer(asked));
    seen.set(region, answer);
    answers.set(threshold, answer);
  }
  return answers;
}

async function withSession(engine: Engine, views: Views, { id, image, prompt, boxes = [] }: EvalItem, maxTokens: number, signal: AbortSignal | undefined, ask: (asked: Asked) => Promise<Answers>): Promise<Answers> {
  const { picture: source, layout, view } = await engine.read(asReference(typeof image === "string" ? image : await image()), signal, views);
  const session = await engine.openSession(view, signal);
  try {
    return await ask({ id, picture: new OpenedPicture(source, layout, views, session), prompt, boxes, maxTokens, signal });
  } catch (error) {
    if (error instanceof SdRpnError && error.code === "CONTEXT_OVERFLOW") {
      return new Map();
    }
    throw error;
  } finally {
    engine.dropSession(session.id);
  }
}

/** The curve from the predictions that {@link askSweep} has written; `predictions` by method, in the order of the items. */
export async function sweepCurve(
  task: Task,
  items: readonly EvalItem[],
  thresholds: readonly number[],
  predictions: ReadonlyMap<string, readonly Prediction[]>,
  { strict, seed, signal }: { strict: boolean; seed: number; signal?: AbortSignal },
): Promise<SweepCurve> {
  const ascending = [...thresholds].sort((a, b) => a - b);
  const scored = ascending.map((threshold) =>
    predictions.get(sweepMethod(threshold))!.map(({ score, parsed, reading }, i): ScoredItem => ({ item: items[i], score: score!, parsed, reading })),
  );
  const mains = scored.map((all) => task.aggregate(all, { strict }).main);
  const intervals = await bootstrap(items.length, (sample) => scored.map((all) => task.aggregate(Array.from(sample, (i) => all[i]), { strict }).main.value), seed, { signal });
  const points = ascending.map((threshold, t): SweepPoint => {
    const rows = predictions.get(sweepMethod(threshold))!;
    return {
      threshold,
      value: mains[t].value,
      ...intervals[t],
      found: mean(rows.map(({ crops }) => Number(crops.length > 0))),
      roiTokens: mean(rows.map(({ tokens }) => tokens.roi)),
    };
  });
  const best = points.reduce((a, b) => (b.value >= a.value ? b : a));
  const { label, unit } = mains[0];
  return { items: items.length, figure: { label, unit }, points, best: best.threshold };
}
