import { z } from "zod";
import { predictSchema } from "../answer/options.js";
import { parseOptions } from "../base/validate.js";
import { ServiceError } from "./http-error.js";

const { method, threshold, tiles, system, background, rotate, page, dpi } = predictSchema.shape;

const shape = {
  model: z.string().optional(),
  question: z.string().min(1),
  method,
  threshold,
  tiles,
  system,
  background,
  rotate,
  page,
  dpi,
  map: z.boolean().default(true),
  overlay: z.boolean().default(true),
};

/** The request of `/v1/sd-rpn/roi` as JSON; `image` is what an `image_url` may be. */
export const regionSchema = z.strictObject({ image: z.string().min(1), ...shape });

const formSchema = z.strictObject(shape);
export type RegionRequest = z.output<typeof formSchema>;

/** @throws {SdRpnError} INVALID_ARGUMENT with the field's name */
export function parseRegion(body: unknown): { image: string; asked: RegionRequest } {
  const { image, ...asked } = parseOptions(regionSchema, body);
  return { image, asked };
}

/** Fields of a form are texts: those that are no text otherwise are read as JSON. */
const TEXTS = ["model", "question", "method", "system", "background"];

/**
 * The fields beside the picture of a form.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT with the field's name
 */
export function parseForm(fields: readonly (readonly [string, string])[]): RegionRequest {
  const twice = fields.find(([name], index) => fields.findIndex(([other]) => other === name) !== index);
  if (twice) {
    throw new ServiceError(400, "BODY_INVALID", `Expected each field of the form once but received several of ${twice[0].slice(0, 100)}`);
  }
  return parseOptions(formSchema, Object.fromEntries(fields.map(([name, text]) => [name, TEXTS.includes(name) ? text : jsonOr(text)])));
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // such as tiles "auto"; what fits no schema is refused by it
  }
}
