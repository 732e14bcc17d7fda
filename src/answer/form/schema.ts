import { DEFINITIONS, isAnnotation, KEYWORDS, kindOf, type TypeName, typesOf } from "./keywords.js";
import { type Reduced, refuse, type Schema } from "./refuse.js";
import { reduceTyped } from "./typed.js";

// bounds what is walked and converted on the event loop
const MAX_DEPTH = 32;
const MAX_NODES = 2000;

/**
 * Walks a JSON schema. Every keyword is one that the grammar or the check holds to, or an annotation; any other is refused, and so is
 * one where it has no effect.
 *
 * @param strict whether that is so; false: keywords that the grammar does not hold are left to someone else's check
 * @param fits whether a pattern, as `grammarPattern` gives it, has a grammar
 * @throws {SdRpnError} INVALID_ARGUMENT with the place in the schema
 */
export function reduceSchema(root: object, strict: boolean, fits: (pattern: string) => boolean): Reduced {
  const walk = new Walk(root as Schema, strict, fits);
  const { grammar, check } = walk.reduce(root, "#");
  return { grammar: { ...grammar, definitions: walk.definitions("grammar") }, check: { ...check, $defs: walk.definitions("check") } };
}

export class Walk {
  private depth = 0;
  private nodes = 0;
  private readonly referred = new Map<string, { name: string; is?: Reduced }>();

  constructor(
    private readonly root: Schema,
    readonly strict: boolean,
    readonly fits: (pattern: string) => boolean,
  ) {}

  definitions(of: keyof Reduced): Schema {
    return Object.fromEntries([...this.referred.values()].map(({ name, is }) => [name, is![of]]));
  }

  reduce(schema: unknown, path: string): Reduced {
    if (schema === true) {
      return { grammar: {}, check: {} };
    }
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
      throw refuse(path, schema === false ? "is false, which nothing satisfies" : "is no schema: an object or true");
    }
    if (++this.nodes > MAX_NODES) {
      throw refuse(path, `it has more than ${MAX_NODES} parts`);
    }
    if (++this.depth > MAX_DEPTH) {
      throw refuse(path, `it is more than ${MAX_DEPTH} levels deep`);
    }
    const reduced = this.reduceNode(schema as Schema, path);
    this.depth--;
    return reduced;
  }

  private reduceNode(schema: Schema, path: string): Reduced {
    const kind = kindOf(schema);
    const types = typesOf(schema, kind, path);
    if (schema.not !== undefined) {
      throw refuse(path, "not is not supported");
    }
    const known: string[] = kind ? [kind, ...(kind === "const" || kind === "enum" ? ["type"] : [])] : ["type", ...types.flatMap((type) => KEYWORDS[type])];
    for (const key of Object.keys(schema)) {
      const isKnown = known.includes(key) || isAnnotation(key) || (path === "#" && DEFINITIONS.includes(key));
      if (this.strict && !isKnown && schema[key] !== undefined) {
        throw refuse(path, `${key} has no effect here, or is not supported${kind ? ` beside ${kind}` : ""}`);
      }
    }
    switch (kind) {
      case "$ref":
        return this.reference(schema.$ref, path);
      case "allOf":
        return this.onlyOne(schema.allOf, `${path}/allOf`);
      case "anyOf":
      case "oneOf":
        return this.alternatives(kind, schema[kind], `${path}/${kind}`);
      case "const":
        return values([schema.const], types, `${path}/const`);
      case "enum":
        return values(schema.enum, types, `${path}/enum`);
      default:
        return this.typed(schema, types, path);
    }
  }

  private typed(schema: Schema, types: readonly TypeName[], path: string): Reduced {
    if (types.length === 0) {
      return { grammar: {}, check: {} };
    }
    const all = types.map((type) => reduceTyped(this, schema, type, path));
    return all.length === 1 ? all[0] : { grammar: { anyOf: all.map(({ grammar }) => grammar) }, check: { anyOf: all.map(({ check }) => check) } };
  }

  private alternatives(keyword: "anyOf" | "oneOf", schemas: unknown, path: string): Reduced {
    const all = list(schemas, path).map((schema, index) => this.reduce(schema, `${path}/${index}`));
    // that just one of several fits is for the check
    return { grammar: { anyOf: all.map(({ grammar }) => grammar) }, check: { [keyword]: all.map(({ check }) => check) } };
  }

  private onlyOne(schemas: unknown, path: string): Reduced {
    const all = list(schemas, path);
    if (all.length > 1) {
      throw refuse(path, "are several schemas: write one with the keywords of all of them");
    }
    return this.reduce(all[0], `${path}/0`);
  }

  private reference(ref: unknown, path: string): Reduced {
    if (typeof ref !== "string") {
      throw refuse(path, "$ref is no string");
    }
    let known = this.referred.get(ref);
    if (!known) {
      known = { name: `d${this.referred.size}` };
      this.referred.set(ref, known); // before it is walked: it may refer to itself
      known.is = this.reduce(this.resolve(ref, path), ref);
    }
    return { grammar: { $ref: `#/definitions/${known.name}` }, check: { $ref: `#/$defs/${known.name}` } };
  }

  private resolve(ref: string, path: string): unknown {
    if (ref === "#") {
      return this.root;
    }
    const [, keyword, name] = /^#\/(\$defs|definitions)\/([^/]+)$/.exec(ref) ?? [];
    const definitions = keyword ? this.root[keyword] : undefined;
    const own = name?.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof definitions !== "object" || definitions === null || !Object.hasOwn(definitions, own)) {
      throw refuse(path, `$ref ${ref.slice(0, 80)} is not there: expected #, #/$defs/name or #/definitions/name`);
    }
    return (definitions as Schema)[own];
  }
}

function list(value: unknown, path: string): unknown[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw refuse(path, "is no array with elements");
  }
  return value;
}

function values(all: unknown, types: readonly TypeName[], path: string): Reduced {
  const listed = list(all, path);
  for (const value of listed) {
    const type = value === null ? "null" : typeof value;
    const isScalar = type === "string" || type === "boolean" || type === "null" || (type === "number" && Number.isFinite(value));
    if (!isScalar) {
      throw refuse(path, "is a value that is no string, number, boolean or null");
    }
    const fits = types.length === 0 || types.some((name) => name === type || (type === "number" && name === "integer" && Number.isInteger(value)));
    if (!fits) {
      throw refuse(path, `is ${JSON.stringify(value)?.slice(0, 80)}, which is not of the type ${types.join(" or ")}`);
    }
  }
  const schema = { enum: [...new Set(listed)] };
  return { grammar: schema, check: schema };
}
