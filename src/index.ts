export { loadModel, Model, type ModelInfo, type RpnInfo } from "./model/model.js";
export { Session } from "./model/session.js";
export { Chat } from "./model/chat.js";
export { demoModel } from "./model/demo-model.js";
export { RoIPredictor, type ScoreOptions } from "./rpn/roi-predictor.js";
export { convertCheckpoint, type ConvertOptions, type ConvertResult } from "./rpn/convert-checkpoint.js";
export { pull, type PullOptions, type PullProgress, type PullResult } from "./hub/pull.js";
export { batch } from "./batch/batch.js";
export { batchFile, type BatchFileOptions, type BatchProgress } from "./batch/batch-file.js";
export type { BatchAnswer, BatchFailure, BatchItem, BatchLine, BatchOptions, BatchResult } from "./batch/options.js";
export { evaluate } from "./eval/evaluate.js";
export { mergeEvaluations, type MergeEvaluationsOptions } from "./eval/merge.js";
export type { EvalProgress, EvaluateOptions, MethodName } from "./eval/options.js";
export type { PresetName } from "./eval/presets.js";
export type { Difference, Estimate, EvalReport, MethodReport } from "./eval/report/summary.js";
export type { SweepCurve, SweepPoint } from "./eval/sweep.js";
export type { Figure, TaskName } from "./eval/task.js";
export { ERROR_CODES, type ErrorCode, SdRpnError } from "./base/errors.js";
export type { AnswerOptions, ChatAnswerOptions, PredictOptions, SessionAnswerOptions, SessionPredictOptions } from "./answer/options.js";
export type { AnswerOf, JsonAnswer, JsonFormat, ValueOf, ZodSchema } from "./answer/form/format.js";
export type { LoadOptions } from "./model/load-options.js";
export type { LogLevel } from "./native/binding.js";

export { boxesFromMap } from "./roi/boxes-from-map.js";
export { regionFromMap } from "./roi/region-from-map.js";
export type { RoIOptions, ViewOptions } from "./roi/options.js";
export type { GridBox } from "./roi/components.js";
export type { NumberArray } from "./roi/number-array.js";
export { pseudoLabels, type PseudoLabelOptions, type PseudoLabels } from "./roi/pseudo-labels.js";
export * as distill from "./distill/index.js";
export { vqaAccuracy } from "./metrics/vqa-accuracy.js";
export { anls } from "./metrics/anls.js";
export { relaxedAccuracy } from "./metrics/relaxed-accuracy.js";
export { choiceLetter } from "./metrics/choice-letter.js";
export type { MetricOptions } from "./metrics/options.js";
export { normalizedBox } from "./roi/normalized-box.js";
export { type Hint, HINT_CODES, type HintCode } from "./base/hints.js";
export type { Json } from "./base/json.js";
export { renderOverlay, type OverlayOptions } from "./image/overlay.js";

export type {
  Answer,
  AnswerEvent,
  Box,
  Choice,
  FinishReason,
  HeatMap,
  ImageInfo,
  ImageInput,
  PicturePart,
  RawImage,
  Region,
  RegionMethod,
  RoI,
  ScoredBox,
  Size,
  Timings,
  TokenLogprob,
  TokenLogprobs,
  Turn,
  Usage,
} from "./base/types.js";
