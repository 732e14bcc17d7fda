import type { Answer } from "../../base/types.js";

/** A schema of zod 4, of any copy of it. */
export interface ZodSchema<Value = unknown> {
  readonly _zod: { readonly output: Value };
}

/** The option `format`: the answer is a JSON text of this schema, a schema of zod 4 or an object of JSON Schema (draft 7 or 2020-12). */
export interface JsonFormat {
  type: "json";
  schema: ZodSchema | object;
}

/** The type of values that a format's schema describes; unknown for JSON Schema. */
export type ValueOf<Format extends JsonFormat> = Format["schema"] extends ZodSchema<infer Value> ? Value : unknown;

/** An answer with the option `format`. */
export interface JsonAnswer<Value = unknown> extends Answer {
  value: Value | null;
}

/** What `answer` resolves to for a format. */
export type AnswerOf<Format extends JsonFormat | undefined> = Format extends JsonFormat ? JsonAnswer<ValueOf<Format>> : Answer;
