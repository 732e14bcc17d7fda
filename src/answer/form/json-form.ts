import { z } from "zod";
import { SdRpnError } from "../../base/errors.js";
import { binding } from "../../native/binding.js";
import { reduceSchema } from "./schema.js";
import { refuse } from "./refuse.js";

/** What an answer is held to, and what becomes of its text. */
export interface Form {
  /** in GBNF */
  grammar: string;
  /** the value of a text of the grammar, or what is wrong with it */
  read(text: string): Promise<{ value: unknown } | { problem: string }>;
}

/** What zod 4 and others have in common: https://standardschema.dev */
interface StandardSchema {
  "~standard": { validate(value: unknown): Result | Promise<Result> };
}

type Result = { value: unknown; issues?: undefined } | { issues: readonly { message: string; path?: readonly unknown[] }[] };

/**
 * The form of answers that are JSON.
 *
 * @param schema of JSON Schema or of zod 4
 * @throws {SdRpnError} INVALID_ARGUMENT where answers could not be held to it
 */
export function jsonForm(schema: object): Form {
  const ofZod = isZod(schema);
  const json = ofZod ? toJsonSchema(schema) : schema;
  const { grammar, check } = reduceSchema(json, !ofZod, hasGrammar);
  const text = grammarOf(grammar);
  const checker = ofZod ? schema : (z.fromJSONSchema(check as Parameters<typeof z.fromJSONSchema>[0]) as StandardSchema);
  return {
    grammar: text,
    read: async (answer) => {
      let parsed: unknown;
      try {
        parsed = JSON.parse(answer);
      } catch (error) {
        return { problem: (error as Error).message };
      }
      const result = await checker["~standard"].validate(parsed);
      if (result.issues) {
        const [{ message, path = [] }] = result.issues;
        return { problem: path.length > 0 ? `at ${path.map(nameOf).join(".")}: ${message}` : message };
      }
      return { value: ofZod ? result.value : parsed };
    },
  };
}

/** Of a path, which has keys or objects with keys. */
function nameOf(segment: unknown): string {
  return String(typeof segment === "object" && segment !== null ? (segment as { key: unknown }).key : segment);
}

function isZod(schema: object): schema is StandardSchema {
  if ("_zod" in schema) {
    return true;
  }
  if ("_def" in schema && "parse" in schema) {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected a schema of zod 4 for format.schema but received one of zod 3: use zod 4, or import from \"zod/v4\"");
  }
  return false;
}

/** By the schema's own zod where it can, which may be another copy than this library's. */
function toJsonSchema(schema: object): object {
  try {
    // of what comes in: defaults and transforms are applied to the answer afterwards
    const options = { io: "input" } as const;
    const own = (schema as { toJSONSchema?: unknown }).toJSONSchema;
    return typeof own === "function" ? (own.call(schema, options) as object) : z.toJSONSchema(schema as z.ZodType, options);
  } catch (error) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a schema of JSON for format.schema: ${(error as Error).message}`, { cause: error });
  }
}

function grammarOf(schema: object): string {
  try {
    return binding().grammarOfSchema(JSON.stringify(schema));
  } catch (error) {
    throw Object.assign(refuse("#", `there is no grammar for it: ${(error as Error).message}`), { cause: error });
  }
}

function hasGrammar(pattern: string): boolean {
  try {
    binding().grammarOfSchema(JSON.stringify({ type: "string", pattern }));
    return true;
  } catch {
    return false;
  }
}
