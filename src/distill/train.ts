import { access, constants, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, resolve } from "node:path";
import type { Engine } from "../engine/engine.js";
import { SdRpnError } from "../base/errors.js";
import { checkPath } from "../base/regular-file.js";
import { engineOf } from "../model/engine-of.js";
import type { Model } from "../model/model.js";
import { throwIfAborted } from "../base/abort.js";
import { parseOptions } from "../base/validate.js";
import type { LabelEntry } from "./label-file.js";
import { modelIdentity } from "../engine/model-identity.js";
import { TrainFeed } from "./train-feed.js";
import { hashPairs, readTrainLabels } from "./train-labels.js";
import { findCheckpoint, removeParts, type TrainBasis, type TrainNote, writeNote } from "./train-checkpoint.js";
import { type CheckedTrainOptions, type TrainEvaluation, type TrainOptions, type TrainResult, trainSchema } from "./train-options.js";
import { TrainPace } from "./train-pace.js";
import { makePlan, type TrainPlan } from "./train-plan.js";
import { EvaluationSums, Trainer } from "./trainer.js";

/**
 * Trains a region proposal network on pseudo-labels and writes it as an RPN file that `loadModel` takes (SD-RPN, arXiv
 * 2509.16944, section 3): initialised from the model's own layers K to K+T-1 and its output norm, fed with the hidden
 * states after its layers 0 to K-1, which are frozen; masked binary cross entropy against the labels, AdamW, cosine
 * schedule with warm-up. Runs on the model's device. The model can answer questions meanwhile.
 *
 * A checkpoint is written at regular intervals, and when the call ends early for any reason other than the end of the
 * process. Repeating the call resumes from it: on the same kind of device the result is the same to the last bit.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT (also for a checkpoint of another training, a diverged training, and weights that
 *   `type` cannot hold), DATA_INVALID (with file and line: a broken line, labels of another model, no usable labels),
 *   IMAGE_INVALID and CONTEXT_OVERFLOW (with file and line), MODEL_INVALID for a model of another architecture than llama, RPN_INVALID for a
 *   broken checkpoint, IO_ERROR, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function train(model: Model, options: TrainOptions): Promise<TrainResult> {
  const started = performance.now();
  const checked = parseOptions(trainSchema, options);
  const { signal, out } = checked;
  const checkpoint = checked.checkpoint ?? `${out}.checkpoint`;
  const engine = engineOf(model);
  throwIfAborted(signal);
  const network = chooseNetwork(engine, checked);
  await checkWritable(out);
  await checkWritable(checkpoint);
  const { pairs, unusable } = await readTrainLabels(engine, checked);
  const plan = makePlan(engine.native, pairs.map(({ path }) => path), checked);
  const basis = basisOf(engine, pairs, network, plan, checked);

  const resumed = await findCheckpoint(engine, checkpoint, basis, checked);
  await removeParts(checkpoint);
  const cores = chooseCores(engine, checked.workers ?? resumed?.workers);
  const trainer = await Trainer.start(engine.native, resumed ? checkpoint : "", network, checked, cores);
  try {
    const note: TrainNote = { basis, workers: cores.workers, steps: resumed?.steps ?? [], evaluations: resumed?.evaluations ?? [] };
    const run = new Run(engine, trainer, plan, pairs, note, checked, checkpoint);
    await run.all();
    await trainer.save(out, checked.type, checked.threshold);
    await rm(checkpoint, { force: true });
    return {
      out,
      ...network,
      batchSize: plan.batchSize,
      pairs: { train: plan.train.length, heldOut: plan.heldOut.length, unusable },
      steps: note.steps,
      evaluations: note.evaluations,
      resumedFrom: trainer.step,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await trainer.end();
  }
}

/** The steps of one call. */
class Run {
  private readonly feed: TrainFeed;
  private readonly piece: number;
  private written: number;

  constructor(
    private readonly engine: Engine,
    private readonly trainer: Trainer,
    private readonly plan: TrainPlan,
    pairs: readonly LabelEntry[],
    private readonly note: TrainNote,
    private readonly options: CheckedTrainOptions,
    private readonly checkpoint: string,
  ) {
    this.feed = new TrainFeed(engine, trainer.id, pairs, options.cacheBytes, options.signal);
    this.piece = 4 * note.workers; // few enough for their prompts to be in memory at once, and the same number after a resume
    this.written = trainer.step;
  }

  async all(): Promise<void> {
    const { plan, note, options } = this;
    try {
      if (!note.evaluations.some(({ step }) => step === this.trainer.step)) {
        await this.evaluate(this.trainer.step);
      }
      const done = Math.round((this.trainer.step / plan.stepsPerEpoch) * plan.train.length);
      const pace = new TrainPace(plan.train.length * options.epochs - done);
      for (let step = this.trainer.step; step < plan.steps; step++) {
        const batch = plan.batch(step);
        const start = performance.now();
        await this.each(batch, (ids) => this.trainer.accumulate(ids, options.signal));
        const learningRate = this.engine.native.trainRate(options.learningRate, step, plan.steps, options.warmup);
        const { loss, gradNorm } = await this.trainer.apply(learningRate);
        note.steps.push({ step: step + 1, loss, gradNorm, learningRate });
        const speed = pace.add(batch.length, performance.now() - start);
        const evaluation = await this.evaluate(step + 1);
        if ((step + 1) % options.checkpointEvery === 0 || step + 1 === plan.steps) {
          await this.write();
        }
        const epoch = Math.floor(step / plan.stepsPerEpoch) + 1;
        options.onProgress?.({ ...note.steps[step], steps: plan.steps, epoch, epochs: options.epochs, ...speed, evaluation });
      }
    } catch (error) {
      await this.rescue(error);
      throw error;
    }
  }

  /** Calls `use` with a few pairs at a time, while the hidden states of the next ones are prepared. */
  private async each(ids: readonly number[], use: (ids: readonly number[]) => Promise<void>): Promise<void> {
    const pieces = Array.from({ length: Math.ceil(ids.length / this.piece) }, (_, i) => ids.slice(i * this.piece, (i + 1) * this.piece));
    const prepare = (piece: readonly number[] | undefined): Promise<void> => {
      const ready = this.feed.prepare(piece ?? []);
      ready.catch(() => {}); // the error is reported when `ready` is awaited
      return ready;
    };
    let ready = prepare(pieces[0]);
    for (const [index, piece] of pieces.entries()) {
      await ready;
      const used = use(piece);
      ready = prepare(pieces[index + 1]);
      await used;
      await this.feed.release(piece);
    }
  }

  /** Measures the held-out pairs if that is due after this number of steps. */
  private async evaluate(step: number): Promise<TrainEvaluation | null> {
    const { heldOut, steps } = this.plan;
    const every = this.options.evaluateEvery ?? Math.ceil(steps / 10);
    if (heldOut.length === 0 || (step % every !== 0 && step !== steps)) {
      return null;
    }
    const sums = new EvaluationSums();
    await this.each(heldOut, (ids) => this.trainer.evaluate(ids, sums, this.options.signal));
    const evaluation = sums.at(step);
    this.note.evaluations.push(evaluation);
    return evaluation;
  }

  private async write(): Promise<void> {
    await this.trainer.writeCheckpoint(this.checkpoint, writeNote(this.note));
    this.written = this.note.steps.length;
  }

  /** Writes a checkpoint of the work so far, unless the training diverged: then its last steps are the fault. */
  private async rescue(error: unknown): Promise<void> {
    const code = error instanceof SdRpnError ? error.code : undefined;
    const done = this.note.steps.length;
    if (done > this.written && code !== "DISPOSED" && code !== "INVALID_ARGUMENT" && code !== "IO_ERROR") {
      await this.write().catch(() => {}); // the error that ended the training is the one to report
    }
  }
}

/** @throws {SdRpnError} INVALID_ARGUMENT where the model has no such layers */
function chooseNetwork({ info }: Engine, options: CheckedTrainOptions): { branchLayer: number; blockCount: number } {
  const { blockCount } = options;
  const published = info.layers === 32 || info.layers === 40 ? 15 : Math.round((info.layers * 15) / 32);
  const most = info.layers - blockCount;
  const branchLayer = options.branchLayer ?? Math.max(1, Math.min(published, most));
  if (branchLayer > most) {
    const limit = most < 1 ? `blockCount of at most ${info.layers - 1}` : `branchLayer of at most ${most}`;
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected ${limit} for a model of ${info.layers} layers, since the network starts as layers branchLayer to branchLayer + blockCount - 1, but received branchLayer ${branchLayer} and blockCount ${blockCount}`,
    );
  }
  return { branchLayer, blockCount };
}

/** Narrow networks are faster with several pairs at a time, wide ones with several threads per pair. */
function chooseCores({ info }: Engine, asked: number | undefined): { workers: number; threads: number } {
  const cores = availableParallelism();
  if (info.embeddingLength < 1024) {
    return { workers: asked ?? Math.min(64, cores), threads: 1 };
  }
  const workers = asked ?? 1;
  return { workers, threads: Math.max(1, Math.floor(info.threads / workers)) };
}

function basisOf(engine: Engine, pairs: readonly LabelEntry[], network: { branchLayer: number; blockCount: number }, plan: TrainPlan, options: CheckedTrainOptions): TrainBasis {
  const { epochs, learningRate, beta1, beta2, epsilon, weightDecay, warmup, maxGradNorm, seed, heldOut } = options;
  const model = JSON.stringify(modelIdentity(engine));
  const optimizer = { epochs, batchSize: plan.batchSize, learningRate, beta1, beta2, epsilon, weightDecay, warmup, maxGradNorm, seed, heldOut };
  return { labels: hashPairs(pairs), model, ...network, ...optimizer };
}

/** Checked before hours of work: the folder exists and can be written to, and only a regular file would be replaced. */
async function checkWritable(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  try {
    await checkPath(path, "write");
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot write to the folder ${folder}: ${(error as Error).message}`, { cause: error });
  }
}
