import type { DataPlace } from "../base/errors.js";
import type { Box } from "../base/types.js";

/** The names of the benchmarks, as the command takes them. */
export const TASK_NAMES = ["textvqa", "docvqa", "infovqa", "chartqa", "ocrbench", "vstar", "pope", "hrbench4k", "hrbench8k", "custom"] as const;

export type TaskName = (typeof TASK_NAMES)[number];

/** One of the choices of a question. */
export interface Choice {
  letter: string;
  text: string;
}

/** One question of a benchmark. */
export interface EvalItem {
  /** unique in its task and the same in every run; the data's own id where it has one */
  id: string;
  /**
   * Absolute path of the picture, or, for data files that contain their pictures, a function that reads the encoded bytes from
   * the data file each time it is called: nothing is kept in memory between calls.
   */
  image: string | (() => Promise<Uint8Array>);
  /**
   * The key by which questions are grouped: items with the same name have the same picture. The reverse holds only where the
   * data names its pictures; a Parquet file that repeats a picture without naming it has as many names as rows.
   */
  imageName: string;
  /** the exact text for the model: `question` with the task's suffix and choices */
  prompt: string;
  /** as the data has it */
  question: string;
  /** what counts as right; empty where the data has no answers (test splits): the item cannot be scored */
  answers: readonly string[];
  /** of letter tasks, in order of their letters */
  options?: readonly Choice[];
  /** by which the report splits its figures: "human" and "augmented" of ChartQA */
  category?: string;
  /** the object asked about, in pixels of the picture; for `oracle` and region recall */
  boxes?: readonly Box[];
  /** further fields of the data that scoring or the submission reads */
  extra?: Readonly<Record<string, string | number | boolean>>;
}

/** The score of one prediction. */
export interface ItemScore {
  /** 0..1 */
  score: number;
  /** false where no rule could read the prediction: it counts as wrong, and is also counted separately */
  parsed: boolean;
  /** what the prediction was read as: the letter, "yes", the text that was compared */
  reading?: string;
}

/** An item with its score: the input of all figures. */
export interface ScoredItem extends ItemScore {
  item: EvalItem;
}

/** One number of a report. */
export interface Figure {
  /** stable name: "accuracy", "anls", "f1", "fsp" */
  name: string;
  /** for display: "V* attribute" */
  label: string;
  /** a share in 0..1, or for OCRBench's total a count */
  value: number;
  unit: "share" | "count";
  /** number of items behind it */
  items: number;
}

/** The figures of a set of scored items. */
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
  /** count items whose picture is missing instead of failing at the first */
  skipMissing?: boolean;
  /** called for every item skipped because of `skipMissing` */
  onSkip?: (skipped: SkippedItem) => void;
  signal?: AbortSignal;
}

export interface SkippedItem {
  id: string;
  imageName: string;
  place: DataPlace;
}

export interface ScoreOptions {
  /** correct the known flaws of the published scoring; without it, numbers are comparable with the papers' */
  strict?: boolean;
}

/** A submission file for a test server. */
export interface Submission {
  fileName: string;
  contents: string;
}

/** A benchmark: how its release files are read, what is asked, and how answers are scored. */
export interface Task {
  name: TaskName;
  /** the name used in the papers */
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
    /** how many questions that part has in its release; null: whatever the data has */
    items: number | null;
  };

  /**
   * Reads the release file, or the folder, as its publishers give it, in the order of the data and item by item. Pictures
   * on disk are looked up (not decoded) before the item is given.
   *
   * @throws {SdRpnError} DATA_INVALID with file, line and column: a broken line, a missing column, a missing picture (unless
   *   `skipMissing`), an id that occurs twice, data without items; IO_ERROR; ABORTED
   */
  read(data: string, options?: ReadOptions): AsyncIterable<EvalItem>;

  /** @throws {SdRpnError} INVALID_ARGUMENT for an item without answers */
  score(item: EvalItem, prediction: string, options?: ScoreOptions): ItemScore;

  /**
   * Pure, and fast enough for a bootstrap; the order of `scored` does not matter. Without items all figures are NaN.
   */
  aggregate(scored: readonly ScoredItem[], options?: ScoreOptions): Figures;

  /** The file that the task's server takes for a test split; undefined where there is none. */
  submission?(predictions: readonly { item: EvalItem; prediction: string }[]): Submission;
}
