import { refuse, type Schema } from "./refuse.js";

// What is known of JSON Schema, drafts 7 and 2020-12.

export type TypeName = "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";

const NUMERIC = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/** Keywords by the type of values that they are about. */
export const KEYWORDS: Readonly<Record<TypeName, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"],
  array: ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: NUMERIC,
  integer: NUMERIC,
  boolean: [],
  null: [],
};

export const DEFINITIONS: readonly string[] = ["$defs", "definitions"];

const ANNOTATIONS = ["$schema", "$id", "id", "$comment", "$anchor", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"];

/** Whether a keyword says something to people and nothing about values. */
export function isAnnotation(keyword: string): boolean {
  return ANNOTATIONS.includes(keyword);
}

const KINDS = ["$ref", "anyOf", "oneOf", "allOf", "const", "enum"] as const;

/** The keyword that says what a schema is where it is not about types. */
export function kindOf(schema: Schema): (typeof KINDS)[number] | undefined {
  return KINDS.find((kind) => schema[kind] !== undefined);
}

/** The types that a schema names or whose keywords it has; none: any value. */
export function typesOf(schema: Schema, kind: string | undefined, path: string): TypeName[] {
  const { type } = schema;
  if (type !== undefined) {
    const names: unknown[] = Array.isArray(type) ? [...new Set<unknown>(type)] : [type];
    const unknown = names.find((name) => typeof name !== "string" || !Object.hasOwn(KEYWORDS, name));
    if (unknown !== undefined || names.length === 0) {
      throw refuse(path, `the type is not one of ${Object.keys(KEYWORDS).join(", ")}`);
    }
    return names as TypeName[];
  }
  if (kind) {
    return [];
  }
  const about = (["object", "array", "string", "number"] as const).filter((name) => KEYWORDS[name].some((keyword) => schema[keyword] !== undefined));
  if (about.length > 1) {
    throw refuse(path, `there are keywords of ${about.join(" and ")} and no type`);
  }
  return about;
}
