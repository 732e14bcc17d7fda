import type { EvalProgress } from "./options.js";
import type { Prediction } from "./prediction.js";

/** Counts predictions and their mean score per method, and tells `report` after each. */
export class ProgressReporter {
  private done = 0;
  private readonly scores = new Map<string, { sum: number; count: number }>();

  /** `earlier`: predictions that an earlier process has written */
  constructor(
    private readonly phase: EvalProgress["phase"],
    private readonly total: number,
    earlier: readonly Prediction[],
    private readonly report: ((progress: EvalProgress) => void) | undefined,
  ) {
    earlier.forEach((prediction) => this.count(prediction));
    this.tell();
  }

  readonly add = (prediction: Prediction): void => {
    this.count(prediction);
    this.tell();
  };

  private count({ method, score }: Prediction): void {
    this.done++;
    if (score !== null) {
      const { sum, count } = this.scores.get(method) ?? { sum: 0, count: 0 };
      this.scores.set(method, { sum: sum + score, count: count + 1 });
    }
  }

  private tell(): void {
    const accuracy = Object.fromEntries([...this.scores].map(([method, { sum, count }]) => [method, sum / count]));
    this.report?.({ phase: this.phase, done: this.done, total: this.total, accuracy });
  }
}
