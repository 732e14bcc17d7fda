import type { NativeModel } from "../native/binding.js";
import { runJob } from "../native/job.js";
import type { CheckedTrainOptions, TrainEvaluation } from "./train-options.js";

/** A native training, addressed by its number. Calls run one after the other on the model's thread. */
export class Trainer {
  private constructor(
    private readonly native: NativeModel,
    readonly id: number,
    /** steps done before this call */
    readonly step: number,
  ) {}

  /** @param checkpoint path of the one to resume from, or an empty text */
  static async start(
    native: NativeModel,
    checkpoint: string,
    network: { branchLayer: number; blockCount: number },
    options: CheckedTrainOptions,
    cores: { workers: number; threads: number },
  ): Promise<Trainer> {
    const { beta1, beta2, epsilon, weightDecay, maxGradNorm } = options;
    const params = { checkpoint, ...network, beta1, beta2, epsilon, weightDecay, maxGradNorm, ...cores };
    const { training, step } = await runJob(native, () => native.trainStart(params));
    return new Trainer(native, training, step);
  }

  /** Adds the pairs' gradients to those of the next step. */
  async accumulate(ids: readonly number[], signal?: AbortSignal): Promise<void> {
    await runJob(this.native, () => this.native.trainAccumulate(this.id, Int32Array.from(ids)), signal);
  }

  apply(learningRate: number): Promise<{ loss: number; gradNorm: number }> {
    return runJob(this.native, () => this.native.trainStep(this.id, learningRate));
  }

  async evaluate(ids: readonly number[], sums: EvaluationSums, signal?: AbortSignal): Promise<void> {
    sums.add(await runJob(this.native, () => this.native.trainEval(this.id, Int32Array.from(ids)), signal));
  }

  /** Drops the gradients accumulated since the last step and writes everything else to a file. */
  async writeCheckpoint(path: string, note: string): Promise<void> {
    await runJob(this.native, () => this.native.trainClear(this.id));
    await runJob(this.native, () => this.native.trainCheckpoint(this.id, path, note));
  }

  save(path: string, type: string, threshold: number): Promise<void> {
    return runJob(this.native, () => this.native.trainSave(this.id, path, type, threshold));
  }

  /** Frees the native training; if the model has been disposed meanwhile, that is done already. */
  async end(): Promise<void> {
    await runJob(this.native, () => this.native.trainEnd(this.id)).catch(() => {});
  }
}

/** Sums over held-out cells. */
export class EvaluationSums {
  private lossSum = 0;
  private cells = 0;
  private truePositives = 0;
  private falsePositives = 0;
  private falseNegatives = 0;

  add(part: { lossSum: number; cells: number; truePositives: number; falsePositives: number; falseNegatives: number }): void {
    this.lossSum += part.lossSum;
    this.cells += part.cells;
    this.truePositives += part.truePositives;
    this.falsePositives += part.falsePositives;
    this.falseNegatives += part.falseNegatives;
  }

  /** Shares of an empty set are 0. */
  at(step: number): TrainEvaluation {
    const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
    return {
      step,
      loss: share(this.lossSum, this.cells),
      precision: share(this.truePositives, this.truePositives + this.falsePositives),
      recall: share(this.truePositives, this.truePositives + this.falseNegatives),
    };
  }
}
