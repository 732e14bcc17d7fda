import type { AppendLog } from "../data/append-log.js";
import { continueLog } from "../data/continue-log.js";
import { isPictureError } from "../data/item-error.js";
import type { Engine, ReadPicture } from "../engine/engine.js";
import { SdRpnError } from "../base/errors.js";
import type { Views } from "../engine/views.js";
import { OpenedPicture } from "../engine/opened-picture.js";
import type { Method, MethodAnswer } from "./methods/method.js";
import { failedPrediction, type Prediction, type TimingLine, toPrediction } from "./prediction.js";
import type { EvalItem, ScoreOptions, Task } from "./task.js";
import { asReference } from "../image/taken-picture.js";

export interface AskOptions extends ScoreOptions {
  engine: Engine;
  /** how pictures are seen */
  views: Views;
  task: Task;
  methods: readonly Method[];
  /** with their place in the run */
  items: readonly { index: number; item: EvalItem }[];
  maxTokens: number;
  /** pictures that cannot be decoded are counted instead of ending the run */
  skipMissing: boolean;
  predictions: AppendLog;
  timings: AppendLog;
  /** called for every new prediction once it is in the file */
  onPrediction: (prediction: Prediction) => void;
  signal?: AbortSignal;
}

/** The code of an error that concerns this item alone and leaves it without an answer. */
interface Failed {
  error: string;
}

/** The key of a line in predictions.jsonl and timings.jsonl. */
export function lineKey({ index, method }: { index?: unknown; method?: unknown }): string {
  return `${String(index)} ${String(method)}`;
}

/** A question to a method. */
interface Job {
  index: number;
  item: EvalItem;
  method: Method;
}

/**
 * Asks what the logs do not have yet, item by item in order, each method in turn. Every answer starts from the decoded
 * picture alone, so that no method uses state computed for another one, and a resumed run gives the same answers. The
 * prediction is written after its timing, so that every prediction has one.
 */
export async function askItems(options: AskOptions): Promise<void> {
  const { methods, items, predictions: log, onPrediction } = options;
  const jobs = items.flatMap((at) => methods.map((method): Job => ({ ...at, method })));
  const idOf = ({ index, method }: Job): string => lineKey({ index, method: method.name });
  await continueLog({ log, items: jobs, idOf, work: (todo) => askJobs(todo, options), onEntry: onPrediction });
}

async function* askJobs(jobs: readonly Job[], { engine, views, task, strict, maxTokens, skipMissing, timings, signal }: AskOptions): AsyncGenerator<Prediction, void, undefined> {
  let last: { index: number; read: ReadPicture | Failed } | undefined;
  const first = jobs[0]?.index;
  for (const { index, item, method } of jobs) {
    if (last?.index !== index) {
      last = { index, read: await readItem(engine, views, item, skipMissing, signal) };
    }
    const { read } = last;
    const at = { index, id: item.id, method: method.name };
    const result = "error" in read ? read : await askOnce(engine, views, method, item, read, maxTokens, signal);
    const scorable = item.answers.length > 0;
    if ("error" in result) {
      yield failedPrediction(at, result.error, scorable);
      continue;
    }
    const { answer } = result;
    const prediction = toPrediction(at, answer, scorable ? task.score(item, answer.text, { strict }) : null);
    if (!timings.ids.has(lineKey(at))) {
      await timings.append({ ...at, first: index === first, timings: answer.timings } satisfies TimingLine);
    }
    yield prediction;
  }
}

async function readItem(engine: Engine, views: Views, { image, id }: EvalItem, skipMissing: boolean, signal?: AbortSignal): Promise<ReadPicture | Failed> {
  try {
    return await engine.read(asReference(typeof image === "string" ? image : await image()), signal, views);
  } catch (error) {
    if (!isPictureError(error)) {
      throw error;
    }
    if (skipMissing) {
      return { error: error.code };
    }
    throw new SdRpnError(error.code, `Item ${id}: ${error.message}`, { cause: error });
  }
}

async function askOnce(
  engine: Engine,
  views: Views,
  method: Method,
  item: EvalItem,
  { picture: source, layout, view, ms }: ReadPicture,
  maxTokens: number,
  signal?: AbortSignal,
): Promise<{ answer: MethodAnswer } | Failed> {
  const start = performance.now();
  const session = await engine.openSession(view, signal);
  try {
    const { id, prompt, boxes = [] } = item;
    const answer = await method.answer({ id, picture: new OpenedPicture(source, layout, views, session), prompt, boxes, maxTokens, signal });
    return { answer: { ...answer, timings: { ...answer.timings, decode: ms, total: performance.now() - start } } };
  } catch (error) {
    // one question that is too long for the context is that question's failure, not the run's
    if (error instanceof SdRpnError && error.code === "CONTEXT_OVERFLOW") {
      return { error: error.code };
    }
    throw error;
  } finally {
    engine.dropSession(session.id);
  }
}
