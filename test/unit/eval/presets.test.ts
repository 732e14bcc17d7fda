import type { RunConfig } from "../../../src/eval/config";
import type { Engine } from "../../../src/engine/engine";
import { viewsOf } from "../../../src/engine/views";
import { evaluateSchema, type EvaluateOptions } from "../../../src/eval/options";
import { checkPresetFits, PRESET_NAMES, type PresetName, presetValues } from "../../../src/eval/presets";
import { reportMarkdown } from "../../../src/eval/report/markdown";
import { summarize } from "../../../src/eval/report/summary";
import { seeingOf } from "../../../src/eval/seeing";
import { TASK_NAMES, type TaskName } from "../../../src/eval/task";
import { taskOf } from "../../../src/eval/tasks";
import { config, rowsOf } from "./fake-run";

const DOCUMENTS = ["textvqa", "infovqa", "chartqa", "ocrbench", "docvqa", "pope"] as const;
const CELL = 28 * 28;

// The references' evaluation scripts, written as they have them: thresholds by benchmark, SD-RPN's budgets in pixels.
const SDRPN: Record<"3b" | "7b", { documents: number[]; scenes: Partial<Record<TaskName, [threshold: number, minPixels: number, maxPixels: number]>> }> = {
  "3b": {
    documents: [0.15, 0.1, 0.1, 0.03, 0.1, 0.1],
    scenes: { vstar: [0.075, 802816, 3211264], hrbench4k: [0.125, 802816, 2408448], hrbench8k: [0.05, 451584, 3211264] },
  },
  "7b": {
    documents: [0.075, 0.1, 0.1, 0.05, 0.1, 0.1],
    scenes: { vstar: [0.05, 451584, 2408448], hrbench4k: [0.03, 451584, 3211264], hrbench8k: [0.03, 451584, 3211264] },
  },
};

const QZOOM: [task: TaskName, min: number, max: number, roi25: number, gate25: number, roi3: number, gate3: number][] = [
  ["textvqa", 256, 576, 0.15, 0.05, 0.15, 0.1],
  ["infovqa", 256, 576, 0.15, 0.05, 0.15, 0.1],
  ["chartqa", 256, 576, 0.125, 0.05, 0.15, 0.1],
  ["ocrbench", 128, 576, 0.15, 0.05, 0.125, 0.1],
  ["docvqa", 256, 576, 0.125, 0.05, 0.15, 0.1],
  ["vstar", 512, 4096, 0.03, 0.02, 0.1, 0.025],
  ["hrbench4k", 512, 4096, 0.04, 0.02, 0.1, 0.025],
  ["hrbench8k", 512, 4096, 0.04, 0.02, 0.1, 0.025],
];

/** Of every task that the preset has, in the order of the tasks. */
const allOf = (name: PresetName) =>
  Object.fromEntries(
    TASK_NAMES.flatMap((task) => {
      try {
        return [[task, presetValues(name, task)]];
      } catch {
        return [];
      }
    }),
  );

describe("the numbers", () => {
  test.each(["3b", "7b"] as const)("SD-RPN for Qwen2.5-VL-%s", (size) => {
    const { documents, scenes } = SDRPN[size];
    const expected = Object.fromEntries([
      ...DOCUMENTS.map((task, i) => [task, { threshold: documents[i], gate: null, imageTokens: { min: 576, max: 576 } }]),
      ...Object.entries(scenes).map(([task, [threshold, min, max]]) => [task, { threshold, gate: null, imageTokens: { min: min / CELL, max: max / CELL } }]),
    ]);
    expect(allOf(`sdrpn-qwen2.5-${size}`)).toEqual(expected);
  });

  test("Q-Zoom", () => {
    expect(allOf("qzoom-qwen2.5")).toEqual(Object.fromEntries(QZOOM.map(([task, min, max, threshold, gate]) => [task, { threshold, gate, imageTokens: { min, max } }])));
    expect(allOf("qzoom-qwen3")).toEqual(Object.fromEntries(QZOOM.map(([task, min, max, , , threshold, gate]) => [task, { threshold, gate, imageTokens: { min, max } }])));
  });

  test("tasks that an evaluation did not ask are refused, with those that it did", () => {
    const wanted = /Expected one of textvqa, .*hrbench8k for the preset qzoom-qwen3, which has no values for pope: .*threshold, gate and imageTokens/;
    expect(() => presetValues("qzoom-qwen3", "pope")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(wanted) }));
    for (const name of PRESET_NAMES) {
      expect(() => presetValues(name, "custom")).toThrow(`which has no values for custom`);
    }
  });
});

type Info = Pick<Engine["info"], "vision" | "rpn">;
const info = (family: Info["vision"]["family"], kind: NonNullable<Info["rpn"]>["kind"] | null): Info => {
  const gate = kind === "qzoom" ? { blockCount: 1, threshold: 0 } : null;
  const rpn = kind && { kind, threshold: 0.1, imageTokens: { min: 300, max: 500 }, gate };
  return { vision: { family, cell: 28, grid: { width: 24, height: 24 }, view: { width: 336, height: 336 } }, rpn } as Info;
};

describe("which models", () => {
  const FITS: Record<PresetName, Info> = {
    "sdrpn-qwen2.5-3b": info("qwen2.5-vl", "sdrpn-qwen"),
    "sdrpn-qwen2.5-7b": info("qwen2.5-vl", "sdrpn-qwen"),
    "qzoom-qwen2.5": info("qwen2.5-vl", "qzoom"),
    "qzoom-qwen3": info("qwen3-vl", "qzoom"),
  };

  test("each preset fits models of its family with its network, or without one, and no other", () => {
    for (const name of PRESET_NAMES) {
      for (const [other, model] of Object.entries(FITS)) {
        const same = model.vision.family === FITS[name].vision.family && model.rpn!.kind === FITS[name].rpn!.kind;
        const check = () => checkPresetFits(name, model);
        expect({ name, other, fits: fits(check) }).toEqual({ name, other, fits: same });
      }
      expect(fits(() => checkPresetFits(name, { ...FITS[name], rpn: null }))).toBe(true);
    }
  });

  test.each<[PresetName, Info, string]>([
    ["qzoom-qwen3", FITS["qzoom-qwen2.5"], "Expected a qwen3-vl model for the preset qzoom-qwen3 but this one is qwen2.5-vl: use qzoom-qwen2.5"],
    ["qzoom-qwen2.5", FITS["sdrpn-qwen2.5-3b"], "Expected a network of kind qzoom for the preset qzoom-qwen2.5 but this one is sdrpn-qwen: use sdrpn-qwen2.5-3b or sdrpn-qwen2.5-7b"],
    ["sdrpn-qwen2.5-7b", info("llava", "llava"), "Expected a qwen2.5-vl model for the preset sdrpn-qwen2.5-7b but this one is llava: leave the preset out"],
  ])("%s on another one says both", (name, model, message) => {
    expect(() => checkPresetFits(name, model)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message }));
  });
});

function fits(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

describe("what a run sees", () => {
  /** As much of an engine as decides it. */
  const seen = (more: Partial<EvaluateOptions>, { model = info("qwen2.5-vl", "qzoom"), methods = ["none", "rpn"], load = undefined as { min: number; max: number } | undefined, contextSize = 10240 } = {}) => {
    const views = (asked?: { min: number; max: number }) => viewsOf(model, asked ?? load);
    const engine = { info: { ...model, contextSize }, limits: { imageTokens: load }, viewsFor: views, defaultThreshold: 0.1 } as unknown as Engine;
    const options = evaluateSchema.parse({ task: "vstar", data: "x", out: "y", ...more });
    return seeingOf(engine, taskOf(options.task), options, methods);
  };
  const preset = { name: "qzoom-qwen2.5", threshold: 0.03, gate: 0.02, imageTokens: { min: 512, max: 4096 } };

  test("a preset's values, and the options that win over them one by one", () => {
    const given = { preset: "qzoom-qwen2.5" } as const;
    expect(seen(given)).toEqual({ preset, threshold: 0.03, gate: 0.02, imageTokens: { min: 512, max: 4096 } });
    expect(seen({ ...given, threshold: 0.4 })).toEqual({ preset, threshold: 0.4, gate: 0.02, imageTokens: { min: 512, max: 4096 } });
    expect(seen({ ...given, gate: 0.7 })).toEqual({ preset, threshold: 0.03, gate: 0.7, imageTokens: { min: 512, max: 4096 } });
    expect(seen({ ...given, gate: false })).toMatchObject({ threshold: 0.03, gate: null });
    expect(seen({ ...given, imageTokens: { min: 64, max: 128 } })).toEqual({ preset, threshold: 0.03, gate: 0.02, imageTokens: { min: 64, max: 128 } });
    expect(seen(given, { load: { min: 65, max: 129 } })).toMatchObject({ imageTokens: { min: 65, max: 129 } });
    expect(seen({ ...given, imageTokens: { min: 64, max: 128 } }, { load: { min: 65, max: 129 } })).toMatchObject({ imageTokens: { min: 64, max: 128 } });
  });

  test("without a preset: the task's threshold and the files' budget and gate", () => {
    expect(seen({})).toEqual({ preset: null, threshold: 0.1, gate: null, imageTokens: { min: 300, max: 500 } });
    expect(seen({ gate: 0.3 })).toMatchObject({ gate: 0.3 });
    expect(seen({}, { model: info("llava", "llava") })).toEqual({ preset: null, threshold: 0.1, gate: null, imageTokens: null });
    expect(seen({ preset: "sdrpn-qwen2.5-7b", task: "docvqa" }, { model: info("qwen2.5-vl", "sdrpn-qwen") })).toMatchObject({ threshold: 0.1, gate: null, imageTokens: { min: 576, max: 576 } });
  });

  test("one view alone is seen with the preset's budget, and nothing asks the network", () => {
    expect(seen({ preset: "qzoom-qwen2.5" }, { methods: ["none"] })).toEqual({ preset, threshold: null, gate: null, imageTokens: { min: 512, max: 4096 } });
  });

  test("what has no effect, or no room, is refused", () => {
    const refused = (message: RegExp) => expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
    expect(() => seen({ gate: 0.1 }, { methods: ["none"] })).toThrow(refused(/no gate without the method rpn/));
    expect(() => seen({ gate: 0.1 }, { model: info("qwen2.5-vl", "sdrpn-qwen") })).toThrow(refused(/no gate for a network without one/));
    expect(() => seen({ imageTokens: { min: 1, max: 2 } }, { model: info("llava", "llava") })).toThrow(refused(/no imageTokens for this model/));
    expect(() => seen({ preset: "qzoom-qwen2.5" }, { contextSize: 8192 })).toThrow(refused(/more than 8192 tokens for the preset, whose views take up to 4096, as do its second looks, but received one of 8192/));
    expect(seen({ preset: "qzoom-qwen2.5" }, { contextSize: 8192, methods: ["none"] }).imageTokens!.max).toBe(4096);
    expect(() => seen({ preset: "qzoom-qwen2.5" }, { contextSize: 4096, methods: ["none"] })).toThrow(refused(/more than 4096 tokens/));
    expect(seen({ preset: "qzoom-qwen2.5", imageTokens: { min: 64, max: 128 } }, { contextSize: 4096 }).imageTokens!.max).toBe(128);
  });
});

test("the report has the preset, its values and the budget in its tables; without them nothing changes", async () => {
  const predictions = new Map(Object.entries({ none: rowsOf("none", [1, 0]), rpn: rowsOf("rpn", [1, 1]) }));
  const items = rowsOf("none", [1, 0]).map(({ id }) => ({ id, image: "x", imageName: "x", prompt: "?", question: "?", answers: ["yes"] }));
  const made = async (more: Partial<RunConfig>) => {
    const run = config(["none", "rpn"], more);
    const report = await summarize({ task: taskOf("custom"), config: run, items, predictions, developmentItems: 0, sweep: null });
    return { report, text: reportMarkdown(report, run, false) };
  };
  const preset = { name: "qzoom-qwen3", threshold: 0.1, gate: 0.025, imageTokens: { min: 512, max: 4096 } } as const;
  const { report, text } = await made({ preset, gate: 0.3, threshold: 0.1, imageTokens: { min: 64, max: 128 } });
  expect(report).toMatchObject({ preset, gate: 0.3, threshold: 0.1, imageTokens: { min: 64, max: 128 } });
  expect(text).toContain("64-128 image tokens; ");
  expect(text).toContain("; preset qzoom-qwen3");
  expect(text).toContain("Its gate passes from a score of 0.3.");
  expect(text).toContain("Preset qzoom-qwen3: threshold 0.1, gate 0.025, 512-4096 tokens a view;");
  expect(text).toContain("| method | second look, % | budget of a view | prompt tokens |");
  expect(text).toMatch(/\| rpn \| 0\.0 \| 64-128 \| 100\.0 \|/);
  expect((await made({ imageTokens: { min: 576, max: 576 } })).text).toMatch(/\| rpn \| 0\.0 \| 576 \| 100\.0 \|/);
  expect((await made({})).text).not.toMatch(/[Pp]reset|gate|budget/i);
});
