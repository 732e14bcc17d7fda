import { resolve } from "node:path";
import { parseShard } from "../data/shard.js";
import { checkHeads, type HeadChoice, headPreset, headsOfFile, isHeadPreset, presetFor, readHeadsFile } from "../engine/head-choice.js";
import { modelIdentity } from "../engine/model-identity.js";
import type { Engine } from "../engine/engine.js";
import { SdRpnError } from "../base/errors.js";
import type { Model } from "../model/model.js";
import { invalidArgument } from "../base/validate.js";
import { version } from "../base/version.js";
import { type VicropOptions, vicropOptions } from "../answer/methods/vicrop.js";
import { type BoxesFile, readBoxes } from "./boxes-file.js";
import { configModel, type RunConfig } from "./config.js";
import { digestOf, type Items } from "./items.js";
import { type CheckedEvaluateOptions, SWEEP_THRESHOLDS } from "./options.js";
import { seeingOf } from "./seeing.js";
import type { Task } from "./task.js";

/** Checks the options against the model and the data, and fills in every default. */
export async function makeConfig(
  model: Model,
  engine: Engine,
  task: Task,
  options: CheckedEvaluateOptions,
  { items, development, skipped }: Items,
): Promise<{ config: RunConfig; files: Map<string, BoxesFile> }> {
  const { data, images, split, limit, skipMissing, strict, seed, examples, signal } = options;
  const methods = methodsOf(model, options);
  const uses = (name: string): boolean => methods.includes(name);
  if (uses("rpn") || options.sweep) {
    engine.requireRpn();
  }
  if (uses("oracle") && !items.some(({ boxes }) => boxes?.length)) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected data with boxes for the method oracle but no item has any");
  }
  const files = new Map<string, BoxesFile>();
  for (const { name, file } of options.boxes) {
    files.set(name, await readBoxes(file, items, signal));
  }
  const config: RunConfig = {
    format: 1,
    version,
    task: task.name,
    data: resolve(data),
    images: images === undefined ? null : resolve(images),
    split: split ?? null,
    limit: limit ?? null,
    skipMissing,
    strict,
    methods,
    ...seeingOf(engine, task, options, methods),
    maxTokens: options.maxTokens ?? task.defaults.maxTokens,
    heads: uses("attention") ? await headsOf(engine, options.heads) : null,
    vicrop: uses("vicrop") ? vicropOf(engine, options.vicrop) : null,
    boxes: options.boxes.map(({ name, file }) => ({ name, file: resolve(file), sha256: files.get(name)!.sha256 })),
    development: developmentOf(options, development),
    sweep: sweepOf(options),
    items: { count: items.length, skipped: skipped.length, sha256: digestOf(items) },
    shard: options.shard === undefined ? null : parseShard(options.shard),
    seed,
    examples,
    model: configModel(model.info),
  };
  return { config, files };
}

function methodsOf(model: Model, { methods, boxes }: CheckedEvaluateOptions): string[] {
  const named = methods ?? (model.info.rpn ? ["none", "rpn"] : ["none"]);
  const all = [...named, ...boxes.map(({ name }) => name)];
  const twice = all.find((name, index) => all.indexOf(name) !== index);
  if (twice !== undefined) {
    throw invalidArgument("methods with distinct names", "methods", twice);
  }
  if (all.length === 0) {
    throw invalidArgument("at least one method", "methods", methods);
  }
  return all;
}

function developmentOf({ development }: CheckedEvaluateOptions, items: Items["development"]): RunConfig["development"] {
  if (!development || "share" in development) {
    return development ?? null;
  }
  const { data, images } = development;
  return { data: resolve(data), images: images === undefined ? null : resolve(images), items: items.length, sha256: digestOf(items) };
}

function sweepOf({ sweep, development, shard, threshold }: CheckedEvaluateOptions): number[] | null {
  if (sweep && !development) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      "Expected a development part (development, --dev) for the sweep: a threshold chosen on the reported part would be fitted to it",
    );
  }
  if (sweep && shard !== undefined) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected a sweep without shards: sweep first, then pass its threshold to each shard");
  }
  if (threshold === "best" && !sweep) {
    throw new SdRpnError("INVALID_ARGUMENT", 'Expected a sweep for threshold "best", which is the best threshold of the sweep');
  }
  return sweep ? [...(sweep === true ? SWEEP_THRESHOLDS : new Set(sweep))].sort((a, b) => a - b) : null;
}

/** Those of the option, else those that the model was loaded with, else the heads published for a model of this shape, or those of the demo model. */
async function headsOf(engine: Engine, heads: CheckedEvaluateOptions["heads"]): Promise<HeadChoice> {
  const identity = modelIdentity(engine);
  if (typeof heads === "string") {
    return isHeadPreset(heads) ? headPreset(heads, identity) : headsOfFile(await readHeadsFile(heads), identity);
  }
  if (heads) {
    return checkHeads(heads, identity);
  }
  if (engine.heads) {
    return engine.heads;
  }
  const name = presetFor(identity);
  if (name === undefined) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected heads for the method attention (heads, --heads), since none are published for a model with ${identity.layers} layers of ${identity.heads} heads: find them with \`sd-rpn heads\``,
    );
  }
  return headPreset(name, identity);
}

/** The authors' constants where the options have none. */
function vicropOf(engine: Engine, { layer, inputSize, suffix }: CheckedEvaluateOptions["vicrop"]): VicropOptions {
  const { layers } = engine.info;
  if (layer !== undefined && layer >= layers) {
    throw invalidArgument(`layer below ${layers}`, "vicrop.layer", layer);
  }
  const authors = vicropOptions(engine);
  return { layer: layer ?? authors.layer, inputSize: inputSize ?? authors.inputSize, suffix: suffix ?? authors.suffix };
}
