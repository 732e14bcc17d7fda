import { z } from "zod";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { readTextFile } from "../base/regular-file.js";
import { invalidArgument, parseOptions } from "../base/validate.js";
import { type ModelIdentity, modelDifference, modelIdentitySchema } from "./model-identity.js";

export const headPairSchema = z.tuple([z.int().min(0), z.int().min(0)]).describe("pair [layer, head]");

/** An attention head: layer and index in the layer, both from 0. */
export type HeadPair = [layer: number, head: number];

/** The heads whose mean map shows where the answer is, and those whose mean map shows attention sinks: tokens that get attention
 * whatever the question. */
export interface HeadChoice {
  /** at least one; a head listed twice counts twice */
  grounding: HeadPair[];
  /** may be empty */
  sink: HeadPair[];
}

export const headChoiceSchema = z.object({ grounding: z.array(headPairSchema).min(1), sink: z.array(headPairSchema).default([]) });

const all = (layer: number, heads: number): HeadPair[] => Array.from({ length: heads }, (_, head) => [layer, head]);

/** The tables that the published LLaVA-1.5 checkpoints were trained with (SD-RPN's released label scripts), and the demo model's. */
export const HEAD_PRESETS = {
  "llava-1.5-7b": {
    layers: 32,
    heads: 32,
    grounding: [[14, 24], [14, 13], [14, 26]] as HeadPair[],
    sink: all(2, 32),
  },
  "llava-1.5-13b": {
    layers: 40,
    heads: 40,
    grounding: [[16, 2], [16, 21], [16, 30], [15, 2], [13, 21], [13, 23], [13, 26]] as HeadPair[],
    sink: [[16, 17], [16, 22]] as HeadPair[],
  },
  /** the heads that taught the demo model's own network */
  demo: {
    layers: 6,
    heads: 4,
    grounding: [[3, 0], [3, 2], [4, 1]] as HeadPair[],
    sink: [] as HeadPair[],
  },
} as const;

export type HeadPreset = keyof typeof HEAD_PRESETS;

/**
 * The heads of a preset.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for an unknown name, and where the model has other numbers of layers or heads
 */
export function headPreset(name: string, model: Pick<ModelIdentity, "layers" | "heads">): HeadChoice {
  const known = Object.keys(HEAD_PRESETS) as HeadPreset[];
  const { preset } = parseOptions(z.strictObject({ preset: z.enum(known as [HeadPreset]) }), { preset: name });
  const { layers, heads, grounding, sink } = HEAD_PRESETS[preset];
  if (layers !== model.layers || heads !== model.heads) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected a model with ${layers} layers of ${heads} heads for the preset ${preset} but received one with ${model.layers} layers of ${model.heads} heads: rank its own heads with \`sd-rpn heads\``,
    );
  }
  return { grounding: grounding.map((pair) => [...pair]), sink: sink.map((pair) => [...pair]) };
}

/** @throws {SdRpnError} INVALID_ARGUMENT where the model does not have one of the heads */
export function checkHeads(choice: HeadChoice, model: Pick<ModelIdentity, "layers" | "heads">): HeadChoice {
  const wrong = [...choice.grounding, ...choice.sink].find(([layer, head]) => layer >= model.layers || head >= model.heads);
  if (wrong) {
    throw invalidArgument(`heads of layers 0 to ${model.layers - 1} with numbers 0 to ${model.heads - 1}`, "heads", `[${wrong.join(", ")}]`);
  }
  return choice;
}

export const HEADS_FORMAT = "sd-rpn-heads";

const fileSchema = z.object({
  format: z.literal(HEADS_FORMAT),
  version: z.literal(1),
  model: modelIdentitySchema,
  chosen: headChoiceSchema,
});

/** A file of heads: the choice, and the model that it was made with. */
export type HeadsFile = z.output<typeof fileSchema> & { file: string };

/**
 * Reads a file that `sd-rpn heads` or `sd-rpn distill heads` has written.
 *
 * @throws {SdRpnError} DATA_INVALID where it is not such a file; IO_ERROR
 */
export async function readHeadsFile(file: string): Promise<HeadsFile> {
  const place = { file, line: 1, column: 1 };
  const expected = "Expected the JSON file that `sd-rpn distill heads --out` writes, or `sd-rpn heads --out`,";
  let value: unknown;
  try {
    value = JSON.parse(await readTextFile(file));
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw dataInvalid(place, `${expected} but it is no JSON`, error);
    }
    throw new SdRpnError("IO_ERROR", `Cannot read the heads file ${file}: ${(error as Error).message}`, { cause: error });
  }
  const { success, data, error } = fileSchema.safeParse(value);
  if (!success) {
    throw dataInvalid(place, `${expected} but ${error.issues[0].path.join(".") || "it"} is wrong`, error);
  }
  return { ...data, file };
}

/**
 * The choice of a file, for a model.
 *
 * @throws {SdRpnError} DATA_INVALID where the file was made with another model
 */
export function headsOfFile({ model: made, chosen, file }: HeadsFile, model: ModelIdentity): HeadChoice {
  const difference = modelDifference(made, model);
  if (difference) {
    const message = `The heads were ranked on a different model: ${difference.key} ${difference.found} instead of ${difference.expected}`;
    throw dataInvalid({ file, line: 1, column: 1 }, message);
  }
  return checkHeads(chosen, model);
}

/** The preset for models of this shape; undefined where there is none. */
export function presetFor({ layers, heads }: Pick<ModelIdentity, "layers" | "heads">): HeadPreset | undefined {
  return (Object.keys(HEAD_PRESETS) as HeadPreset[]).find((name) => HEAD_PRESETS[name].layers === layers && HEAD_PRESETS[name].heads === heads);
}

export function isHeadPreset(name: string): name is HeadPreset {
  return Object.hasOwn(HEAD_PRESETS, name);
}
