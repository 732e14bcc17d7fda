import type { RunConfig } from "../config.js";
import { cropsOf, type Prediction } from "../prediction.js";
import { type PublishedModel, publishedModel, type PublishedRow, publishedRow } from "../published.js";
import { regionRecall } from "../region-recall.js";
import { bootstrap, mcnemarExact, mean } from "../statistics.js";
import type { EvalItem, Figure, Figures, ScoredItem, Task } from "../task.js";
import type { SweepCurve } from "../sweep.js";

/** An answer with at least this score counts as right where only right or wrong counts (VQA accuracy and ANLS are shares). */
export const RIGHT_FROM = 0.5;

/** A figure with its 95% bootstrap interval over items. */
export interface Estimate extends Figure {
  low: number;
  high: number;
}

/** How a method differs from one view on the same items. */
export interface Difference {
  /** of the main figure, in its unit, with its 95% paired bootstrap interval */
  value: number;
  low: number;
  high: number;
  /** items that are wrong with one view and right with the method, and the reverse; right is a score of {@link RIGHT_FROM} or more */
  won: number;
  lost: number;
  /** two-sided exact p of McNemar's test on those */
  p: number;
}

export interface MethodReport {
  name: string;
  /** null where the data has no answers (test splits) */
  main: Estimate | null;
  categories: Estimate[];
  more: Estimate[];
  /** null for `none` itself, and where it was not run */
  versusNone: Difference | null;
  /** answers that no rule of the task could read, and questions that an error left without an answer; both count as wrong */
  unparsed: number;
  failed: number;
  /** share of the items that were given a second look */
  regionShare: number;
  /** of the items with boxes: mean share of their area that the second look has shown, and share of items where it has shown all of it */
  recall: { items: number; area: number; whole: number } | null;
  /** mean tokens of an answer */
  tokens: { prompt: number; roi: number; completion: number; look: number };
  /** what the paper prints for this task and model, in percent */
  published: number | null;
}

/** The results of a run; nothing in it depends on the machine or on time. */
export interface EvalReport {
  task: { name: string; title: string };
  model: { name: string; published: PublishedModel | null };
  items: { evaluated: number; skipped: number; development: number };
  methods: MethodReport[];
  /** the published evaluation whose values were asked for, with them */
  preset: RunConfig["preset"];
  threshold: number | null;
  /** least score of the network's gate; null: it was not asked */
  gate: number | null;
  /** tokens of a view; null where all views have the same */
  imageTokens: RunConfig["imageTokens"];
  sweep: SweepCurve | null;
  strict: boolean;
  seed: number;
}

export interface SummaryInput {
  task: Task;
  config: RunConfig;
  items: readonly EvalItem[];
  /** of every item and method, by method and in the order of the items */
  predictions: ReadonlyMap<string, readonly Prediction[]>;
  developmentItems: number;
  sweep: SweepCurve | null;
  signal?: AbortSignal;
}

/** All figures of a run, with intervals from the same bootstrap samples for every method. */
export async function summarize({ task, config, items, predictions, developmentItems, sweep, signal }: SummaryInput): Promise<EvalReport> {
  const { strict, seed, model } = config;
  const scored = new Map<string, ScoredItem[]>();
  for (const [name, rows] of predictions) {
    scored.set(name, rows.flatMap(({ score, parsed, reading }, i) => (score === null ? [] : [{ item: items[i], score, parsed, reading }])));
  }
  const estimates = await estimate(task, scored, strict, seed, signal);
  const published = publishedModel(model);
  const row = publishedRow(published, config.task);
  const methods = config.methods.map((name): MethodReport => {
    const rows = predictions.get(name)!;
    const own = estimates.get(name)!;
    return {
      name,
      ...own,
      unparsed: rows.filter(({ parsed, error }) => !parsed && error === undefined).length,
      failed: rows.filter(({ error }) => error !== undefined).length,
      regionShare: mean(rows.map(({ crops }) => Number(crops.length > 0))),
      recall: name === "none" ? null : recallOf(items, rows),
      tokens: tokensOf(rows),
      published: row?.[name as keyof PublishedRow] ?? null,
    };
  });
  return {
    task: { name: task.name, title: task.title },
    model: { name: model.name, published },
    items: { evaluated: items.length, skipped: config.items.skipped, development: developmentItems },
    methods,
    preset: config.preset,
    threshold: config.threshold === "best" ? sweep!.best : config.threshold,
    gate: config.gate,
    imageTokens: config.imageTokens,
    sweep,
    strict,
    seed,
  };
}

type Estimates = Pick<MethodReport, "main" | "categories" | "more" | "versusNone">;

/** One bootstrap for all figures of all methods: each sample is aggregated by the task like the whole. */
async function estimate(task: Task, scored: ReadonlyMap<string, ScoredItem[]>, strict: boolean, seed: number, signal?: AbortSignal): Promise<Map<string, Estimates>> {
  const names = [...scored.keys()];
  const count = scored.get(names[0])?.length ?? 0;
  if (count === 0) {
    return new Map(names.map((name) => [name, { main: null, categories: [], more: [], versusNone: null }]));
  }
  const whole = names.map((name) => task.aggregate(scored.get(name)!, { strict }));
  const keys = whole.map((figures) => figuresOf(figures).map(keyOf));
  const base = names.indexOf("none");
  const statistics = (sample: Int32Array): number[] => {
    const figures = names.map((name) => {
      const all = scored.get(name)!;
      return task.aggregate(Array.from(sample, (i) => all[i]), { strict });
    });
    const values = figures.map((own, m) => {
      const byKey = new Map(figuresOf(own).map((figure) => [keyOf(figure), figure.value]));
      return keys[m].map((key) => byKey.get(key) ?? NaN); // a category may be missing in a sample
    });
    return values.flatMap((own, m) => [...own, base < 0 ? NaN : figures[m].main.value - figures[base].main.value]);
  };
  const intervals = await bootstrap(count, statistics, seed, { signal });

  let next = 0;
  return new Map(
    names.map((name, m) => {
      const estimates = figuresOf(whole[m]).map((figure): Estimate => ({ ...figure, ...intervals[next++] }));
      const difference = intervals[next++];
      const { categories } = whole[m];
      const versusNone =
        base < 0 || m === base ? null : { value: whole[m].main.value - whole[base].main.value, ...difference, ...duel(scored.get(name)!, scored.get("none")!) };
      return [name, { main: estimates[0], categories: estimates.slice(1, 1 + categories.length), more: estimates.slice(1 + categories.length), versusNone }];
    }),
  );
}

function figuresOf({ main, categories, more }: Figures): Figure[] {
  return [main, ...categories, ...more];
}

function keyOf({ name, label }: Figure): string {
  return `${name} ${label}`;
}

function duel(scored: readonly ScoredItem[], base: readonly ScoredItem[]): { won: number; lost: number; p: number } {
  const right = ({ score }: ScoredItem): boolean => score >= RIGHT_FROM;
  const won = scored.filter((item, i) => right(item) && !right(base[i])).length;
  const lost = scored.filter((item, i) => !right(item) && right(base[i])).length;
  return { won, lost, p: mcnemarExact(won, lost) };
}

function recallOf(items: readonly EvalItem[], rows: readonly Prediction[]): MethodReport["recall"] {
  const shares = rows.flatMap((row, i) => {
    const { boxes = [] } = items[i];
    return boxes.length > 0 ? [regionRecall(boxes, cropsOf(row))] : [];
  });
  return shares.length > 0 ? { items: shares.length, area: mean(shares), whole: mean(shares.map((share) => Number(share > 1 - 1e-9))) } : null;
}

function tokensOf(rows: readonly Prediction[]): MethodReport["tokens"] {
  const average = (part: keyof Prediction["tokens"]): number => mean(rows.map(({ tokens }) => tokens[part]));
  return { prompt: average("prompt"), roi: average("roi"), completion: average("completion"), look: average("look") };
}
