// Self-distillation (SD-RPN, arXiv 2509.16944): labels are made from the model's own attention, and its region network is trained on them.
export { attention, type Attention, type AttentionOptions } from "./attention.js";
export { heads, type HeadRanking, type HeadsOptions, type HeadsProgress, type RankedHead } from "./heads.js";
export { HEAD_PRESETS as headPresets, type HeadChoice, type HeadPair, type HeadPreset } from "../engine/head-choice.js";
export { label, type Label, type LabelConstants, type LabelFailure, type LabelOptions, type LabelResult } from "./label.js";
export { labelFile, type LabelFileOptions, type LabelProgress, mergeLabels, type MergeLabelOptions } from "./label-run.js";
export type { Pair, Pairs } from "./pairs.js";
export type { ModelIdentity } from "../engine/model-identity.js";
export { train } from "./train.js";
export type { TrainEvaluation, TrainOptions, TrainProgress, TrainResult, TrainStep } from "./train-options.js";
