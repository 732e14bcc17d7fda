import type { DataPlace } from "../base/errors.js";
import type { Box } from "../base/types.js";

/** The benchmarks that can be run, by the name that the command takes. */
export const TASK_NAMES = ["textvqa", "docvqa", "infovqa", "chartqa", "ocrbench", "vstar", "pope", "hrbench4k", "hrbench8k", "custom"] as const;

export type TaskName = (typeof TASK_NAMES)[number];

/** One of the answers that a question leaves to choose from. */
export interface Choice {
  letter: string;
  text: string;
}

/** One question of a benchmark. */
export interface EvalItem {
  /** unique in its task, the same in every run; what the data calls the question where it names it */
  id: string;
  /**
   * Absolute path of the picture, or, for data that has its pictures inside, a function that reads the encoded bytes from
   * the data file each time it is called: nothing is held in memory between.
   */
  image: string | (() => Promise<Uint8Array>);
  /**
   * What questions are grouped by: two items of one name have one picture. The reverse holds where the data tells; a
   * Parquet file that repeats a picture without naming it has as many names as rows.
   */
  imageName: string;
  /** what the model is asked, to the letter; `question` with the task's suffix and choices */
  prompt: string;
  /** as the data has it */
  question: string;
  /** what counts as right; empty where the data keeps the answers back (test splits), and then the item cannot be scored */
  answers: readonly string[];
  /** of letter tasks, in order of their letters */
  options?: readonly Choice[];
  /** what the report splits the figures by: "human" and "augmented" of ChartQA */
  category?: string;
  /** what the question is about, in pixels of the picture; for `oracle` and region recall */
  boxes?: readonly Box[];
  /** further fields of the data that scoring or the submission reads */
  extra?: Readonly<Record<string, string | number | boolean>>;
}

/** How one prediction did. */
export interface ItemScore {
  /** 0..1 */
  score: number;
  /** false where no rule could read the prediction: it counts as wrong, and is counted apart */
  parsed: boolean;
  /** what the prediction was read as: the letter, "yes", the text that was compared */
  reading?: string;
}

/** An item with its score; all that figures are made from. */
export interface ScoredItem extends ItemScore {
  item: EvalItem;
}

/** One number of a report. */
export interface Figure {
  /** stable name: "accuracy", "anls", "f1", "fsp" */
  name: string;
  /** what people read: "V* attribute" */
  label: string;
  /** a share in 0..1, or for OCRBench's total a count */
  value: number;
  unit: "share" | "count";
  /** items that it was made from */
  items: number;
}

/** What a set of scored items comes to. */
export interface Figures {
  /** the number that the papers print, over all items */
  main: Figure;
  /** the same per category, in a fixed order; those without items are left out */
  categories: Figure[];
  /** further published numbers over all items: precision, recall and F1 of POPE */
  more: Figure[];
  /** items whose prediction no rule could read */
  unparsed: number;
}

export interface ReadOptions {
  /** folder of the pictures; by default the data file's own */
  images?: string;
  /** which part, where the data has several: "validation", "test"; by default the one that the papers report */
  split?: string;
  /** count items whose picture is missing instead of giving up at the first */
  skipMissing?: boolean;
  /** called for every item passed over by `skipMissing` */
  onSkip?: (skipped: SkippedItem) => void;
  signal?: AbortSignal;
}

export interface SkippedItem {
  id: string;
  imageName: string;
  place: DataPlace;
}

export interface ScoreOptions {
  /** mend the quirks of the published scoring; off, numbers compare with the papers' */
  strict?: boolean;
}

/** A file that a test server takes. */
export interface Submission {
  fileName: string;
  contents: string;
}

/** A benchmark: how its release files are read, what is asked, and how answers are scored. */
export interface Task {
  name: TaskName;
  /** as the papers write it */
  title: string;
  /** one line: what it asks, and where the data comes from */
  description: string;
  defaults: {
    /** of the answer */
    maxTokens: number;
    /** of the region, as published for LLaVA-1.5 7B; null: the RPN file's own */
    threshold: number | null;
    /** the part that the papers report */
    split: string | null;
    /** how many questions that part has as it was released; null: the data decides */
    items: number | null;
  };

  /**
   * Reads the release file, or the folder, as its publishers give it, in the order of the data and item by item. Pictures
   * on disk are looked up (not decoded) before the item is given.
   *
   * @throws {SdRpnError} DATA_INVALID with file, line and column: a broken line, a missing column, a missing picture (unless
   *   `skipMissing`), an id that comes twice, data without items; IO_ERROR; ABORTED
   */
  read(data: string, options?: ReadOptions): AsyncIterable<EvalItem>;

  /** @throws {SdRpnError} INVALID_ARGUMENT for an item without answers */
  score(item: EvalItem, prediction: string, options?: ScoreOptions): ItemScore;

  /**
   * Pure, and fast enough for a bootstrap; the order of `scored` does not count. Of no items all figures are NaN.
   */
  aggregate(scored: readonly ScoredItem[], options?: ScoreOptions): Figures;

  /** The file that the task's server takes for a test split; undefined where there is none. */
  submission?(predictions: readonly { item: EvalItem; prediction: string }[]): Submission;
}
