import { z } from "zod";
import type { NativeModelInfo } from "../native/binding.js";

/** The properties of a model that attention heads and labels depend on, as written into files. A renamed or quantized file
 * counts as the same model. */
export const modelIdentitySchema = z.object({
  /** general.name of the model's file */
  name: z.string(),
  architecture: z.string(),
  layers: z.int(),
  /** heads per layer */
  heads: z.int(),
  embeddingLength: z.int(),
  grid: z.object({ width: z.int().min(1), height: z.int().min(1) }),
});

export type ModelIdentity = z.output<typeof modelIdentitySchema>;

/** @param model an engine, or what the native model says of itself */
export function modelIdentity({ info }: { info: NativeModelInfo }): ModelIdentity {
  const { name, architecture, layers, headCount, embeddingLength, vision } = info;
  return { name, architecture, layers, heads: headCount, embeddingLength, grid: vision.grid };
}

/** The first property in which a model differs from the one that a file was made with; undefined where there is none. */
export function modelDifference(found: ModelIdentity, expected: ModelIdentity): { key: string; found: string; expected: string } | undefined {
  for (const key of ["architecture", "layers", "heads", "embeddingLength", "grid", "name"] as const) {
    const [a, b] = [found[key], expected[key]].map((value) => JSON.stringify(value));
    if (a !== b) {
      return { key, found: a, expected: b };
    }
  }
  return undefined;
}
