import type { z } from "zod";
import { SdRpnError } from "../base/errors.js";
import { type AnswerOptions, answerSchema } from "../answer/options.js";
import { imageTokensSchema } from "../base/schemas.js";
import { parseOptions } from "../base/validate.js";
import { UsageError } from "./exit.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number that `text` is as a whole, or else the text itself, which schemas of numbers reject. */
function numberOrText(text: string): number | string {
  return NUMBER.test(text.trim()) ? Number(text) : text;
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown, name: string): z.output<Schema> {
  try {
    return parseOptions(schema, value, name);
  } catch (error) {
    throw error instanceof SdRpnError ? new UsageError(error.message) : error;
  }
}

/**
 * A parser for commander of a numeric option `name`, within the library's bounds.
 *
 * @throws {UsageError} from the parser, such as "Expected integer of at least 0 for --top-k but received 1x of type string"
 */
export function numberParser<Schema extends z.ZodType>(schema: Schema, name: string): (text: string) => z.output<Schema> {
  return (text) => check(schema, numberOrText(text), name);
}

/**
 * A parser for commander of an option `name` that is one of several words.
 *
 * @throws {UsageError} from the parser
 */
export function choiceParser<Schema extends z.ZodType>(schema: Schema, name: string): (text: string) => z.output<Schema> {
  return (text) => check(schema, text, name);
}

/**
 * `auto`, `always`, `never`, or boxes in pixels of the picture: `x,y,width,height`, several with `;` between them.
 *
 * @throws {UsageError}
 */
export function parseRoI(text: string): AnswerOptions["roi"] {
  if (text === "auto" || text === "always" || text === "never") {
    return text;
  }
  const boxes = text.split(";").map((part) => part.split(",").map(numberOrText));
  if (boxes.some((box) => box.length !== 4 || box.some((value) => typeof value === "string"))) {
    throw new UsageError(`Expected auto, always, never or x,y,width,height[;x,y,width,height...] for --roi but received ${text || "an empty text"}`);
  }
  const named = boxes.map(([x, y, width, height]) => ({ x, y, width, height }));
  return check(answerSchema.shape.roi, named, "--roi");
}

/**
 * A budget of tokens, as one number or as `min-max`.
 *
 * @throws {UsageError}
 */
export function parseImageTokens(text: string): { min: number; max: number } {
  const [min, max = min] = text.split("-").map(numberOrText);
  return check(imageTokensSchema, { min, max }, "--image-tokens");
}

/**
 * `auto`, `off` or a score.
 *
 * @throws {UsageError}
 */
export function parseGate(text: string): AnswerOptions["gate"] {
  return check(answerSchema.shape.gate, text === "off" ? false : numberOrText(text), "--gate");
}

export function parseTiles(text: string): AnswerOptions["tiles"] {
  return check(answerSchema.shape.tiles, numberOrText(text), "--tiles");
}

/** For commander: gathers the values of an option that may be given several times. */
export function collect(text: string, previous: string[] = []): string[] {
  return [...previous, text];
}
