import { z } from "zod";

export const abortSignal = z.instanceof(AbortSignal).describe("AbortSignal").optional();
export const callback = <T>() => z.custom<T>((value) => typeof value === "function").describe("function").optional();

/** Whether a value can be looped over, with `for` or `for await`; texts, which can be too, are none. */
export function isIterable(value: unknown): boolean {
  return typeof value === "object" && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);
}

/** A path. The system would cut one that contains NUL off there, and open another file. */
export const pathSchema = z
  .string()
  .min(1)
  .refine((path) => !path.includes("\0"))
  .describe("path without NUL characters");

/** What the native core takes at most for a view; see src/engine/views.ts. */
export const MOST_IMAGE_TOKENS = 4096;

/** How many tokens a picture's view may take. */
export const imageTokensSchema = z
  .strictObject({ min: z.int().min(1).max(MOST_IMAGE_TOKENS), max: z.int().min(1).max(MOST_IMAGE_TOKENS) })
  .refine(({ min, max }) => min <= max)
  .describe("{ min, max }, min at most max");

export const signalSchema = z.strictObject({ signal: abortSignal });

/** White space alone is not a question. */
export const questionSchema = z
  .string()
  .refine((text) => text.trim() !== "")
  .describe("non-empty string");

/** A text that stands before the picture; white space at its ends is taken off. */
export const systemSchema = questionSchema.transform((text) => text.trim());

const turnSchema = z
  .strictObject({ role: z.enum(["user", "assistant"]), text: z.string() })
  .refine(({ role, text }) => role === "assistant" || text.trim() !== "", { message: "Expected a text that is not empty in each message of the user's in history" });

export const historySchema = z
  .array(turnSchema)
  .refine((turns) => turns.length === 0 || turns[0].role === "user", { message: "Expected a history that begins with a message of the user's, which the picture is in" });

export const chatSchema = z.strictObject({ history: historySchema.default([]) });

/**
 * A question with the option `exact` that calls about one take. Unless it is true, white space at the question's ends is
 * taken off: it makes other tokens, which models have not been trained with, and so another answer.
 */
export const askedSchema = z
  .strictObject({ question: questionSchema, exact: z.boolean() })
  .transform(({ question, exact }) => (exact ? question : question.trim()));
