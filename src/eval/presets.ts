import { SdRpnError } from "../base/errors.js";
import type { Engine } from "../engine/engine.js";
import type { ImageTokens } from "../engine/views.js";
import type { TaskName } from "./task.js";

/** The published evaluations of Qwen-VL models, by the network and the model that they are of. */
export const PRESET_NAMES = ["sdrpn-qwen2.5-3b", "sdrpn-qwen2.5-7b", "qzoom-qwen2.5", "qzoom-qwen3"] as const;

export type PresetName = (typeof PRESET_NAMES)[number];

/** How an evaluation asked one benchmark. */
export interface PresetValues {
  /** probability from which a cell belongs to the region */
  threshold: number;
  /** least score with which the network is asked; null: its networks have no gate */
  gate: number | null;
  /** of the picture's view and of the second look's */
  imageTokens: ImageTokens;
}

type Row = readonly [threshold: number, gate: number | null, min: number, max: number];
type Rows = Readonly<Partial<Record<TaskName, Row>>>;

type Info = Pick<Engine["info"], "vision" | "rpn">;

interface Preset {
  family: Info["vision"]["family"];
  kind: NonNullable<Info["rpn"]>["kind"];
  rows: Rows;
}

// Documents have small budgets and large scenes large ones, in all four. docs/decisions/124 says which runs these are.
const PRESETS: Readonly<Record<PresetName, Preset>> = {
  "sdrpn-qwen2.5-3b": {
    family: "qwen2.5-vl",
    kind: "sdrpn-qwen",
    rows: {
      textvqa: [0.15, null, 576, 576],
      infovqa: [0.1, null, 576, 576],
      chartqa: [0.1, null, 576, 576],
      ocrbench: [0.03, null, 576, 576],
      docvqa: [0.1, null, 576, 576],
      pope: [0.1, null, 576, 576],
      vstar: [0.075, null, 1024, 4096],
      hrbench4k: [0.125, null, 1024, 3072],
      hrbench8k: [0.05, null, 576, 4096],
    },
  },
  "sdrpn-qwen2.5-7b": {
    family: "qwen2.5-vl",
    kind: "sdrpn-qwen",
    rows: {
      textvqa: [0.075, null, 576, 576],
      infovqa: [0.1, null, 576, 576],
      chartqa: [0.1, null, 576, 576],
      ocrbench: [0.05, null, 576, 576],
      docvqa: [0.1, null, 576, 576],
      pope: [0.1, null, 576, 576],
      vstar: [0.05, null, 576, 3072],
      hrbench4k: [0.03, null, 576, 4096],
      hrbench8k: [0.03, null, 576, 4096],
    },
  },
  "qzoom-qwen2.5": {
    family: "qwen2.5-vl",
    kind: "qzoom",
    rows: {
      textvqa: [0.15, 0.05, 256, 576],
      infovqa: [0.15, 0.05, 256, 576],
      chartqa: [0.125, 0.05, 256, 576],
      ocrbench: [0.15, 0.05, 128, 576],
      docvqa: [0.125, 0.05, 256, 576],
      vstar: [0.03, 0.02, 512, 4096],
      hrbench4k: [0.04, 0.02, 512, 4096],
      hrbench8k: [0.04, 0.02, 512, 4096],
    },
  },
  "qzoom-qwen3": {
    family: "qwen3-vl",
    kind: "qzoom",
    rows: {
      textvqa: [0.15, 0.1, 256, 576],
      infovqa: [0.15, 0.1, 256, 576],
      chartqa: [0.15, 0.1, 256, 576],
      ocrbench: [0.125, 0.1, 128, 576],
      docvqa: [0.15, 0.1, 256, 576],
      vstar: [0.1, 0.025, 512, 4096],
      hrbench4k: [0.1, 0.025, 512, 4096],
      hrbench8k: [0.1, 0.025, 512, 4096],
    },
  },
};

/**
 * What an evaluation used for a task.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a task that it did not ask
 */
export function presetValues(name: PresetName, task: TaskName): PresetValues {
  const { rows } = PRESETS[name];
  const row = rows[task];
  if (!row) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected one of ${Object.keys(rows).join(", ")} for the preset ${name}, which has no values for ${task}: leave the preset out, and give threshold, gate and imageTokens`,
    );
  }
  const [threshold, gate, min, max] = row;
  return { threshold, gate, imageTokens: { min, max } };
}

/**
 * A preset's numbers are for one family of models, and for one kind of network where one is loaded.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for another one, with both
 */
export function checkPresetFits(name: PresetName, { vision, rpn }: Info): void {
  const { family, kind } = PRESETS[name];
  if (vision.family !== family) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a ${family} model for the preset ${name} but this one is ${vision.family}: ${othersFor({ vision, rpn })}`);
  }
  if (rpn && rpn.kind !== kind) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a network of kind ${kind} for the preset ${name} but this one is ${rpn.kind}: ${othersFor({ vision, rpn })}`);
  }
}

function othersFor({ vision, rpn }: Info): string {
  const fit = PRESET_NAMES.filter((name) => PRESETS[name].family === vision.family && (!rpn || PRESETS[name].kind === rpn.kind));
  return fit.length > 0 ? `use ${fit.join(" or ")}` : "leave the preset out";
}
