import type { TypeName } from "./keywords.js";
import { grammarPattern } from "./pattern.js";
import { type Reduced, refuse, type Schema } from "./refuse.js";
import type { Walk } from "./schema.js";

// Longer texts and lists, and greater numbers, are left to the check: a grammar has a rule for each repetition.
const MAX_REPETITIONS = 1000;

// Integers of up to 15 digits, where the schema allows them: longer ones are not exact in JavaScript, and of numbers with
// one bound the conversion writes some that are no JSON, such as -07.
const MAX_INTEGER = 999_999_999_999_999;

const MAX_PROPERTIES = 100;
const MAX_NAME = 200;

// those that zod checks
const FORMATS = ["email", "uri", "uuid", "date-time", "date", "time", "duration", "hostname", "ipv4", "ipv6", "base64", "base64url", "e164"];
const GRAMMAR_FORMATS = ["uuid", "date-time", "date", "time"];

/** A schema as far as it is about values of one type. */
export function reduceTyped(walk: Walk, schema: Schema, type: TypeName, path: string): Reduced {
  switch (type) {
    case "object":
      return objectOf(walk, schema, path);
    case "array":
      return arrayOf(walk, schema, path);
    case "string":
      return stringOf(walk, schema, path);
    case "number":
    case "integer":
      return numberOf(schema, type, path);
    case "boolean":
    case "null":
      return { grammar: { type }, check: { type } };
  }
}

function stringOf(walk: Walk, schema: Schema, path: string): Reduced {
  const { format, pattern } = schema;
  const lengths = counts(schema, "minLength", "maxLength", path);
  const check: Schema = { type: "string", ...lengths };
  const grammar: Schema = { type: "string", ...atMost(lengths) };
  if (format !== undefined) {
    if (typeof format !== "string" || (walk.strict && !FORMATS.includes(format))) {
      throw refuse(path, `format is not one of ${FORMATS.join(", ")}`);
    }
    check.format = format;
    if (GRAMMAR_FORMATS.includes(format)) {
      grammar.format = format;
    }
  }
  if (pattern !== undefined) {
    if (typeof pattern !== "string" || !isRegExp(pattern)) {
      throw refuse(path, "pattern is no regular expression");
    }
    check.pattern = pattern;
    const known = grammarPattern(pattern);
    if (known !== undefined && walk.fits(known)) {
      grammar.pattern = known;
    }
  }
  return { grammar, check };
}

function isRegExp(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}

function numberOf(schema: Schema, type: "number" | "integer", path: string): Reduced {
  const check: Schema = { type };
  const read = (keyword: string): number | undefined => {
    const value = schema[keyword];
    if (value === undefined) {
      return undefined;
    }
    if (typeof value !== "number" || !Number.isFinite(value) || (keyword === "multipleOf" && value <= 0)) {
      throw refuse(path, `${keyword} is no ${keyword === "multipleOf" ? "number above 0" : "finite number"}`);
    }
    check[keyword] = value;
    return value;
  };
  const above = read("exclusiveMinimum");
  const below = read("exclusiveMaximum");
  read("multipleOf");
  const low = Math.max(read("minimum") ?? -Infinity, above ?? -Infinity);
  const high = Math.min(read("maximum") ?? Infinity, below ?? Infinity);
  if (type === "number") {
    if (low > high || (low === high && (low === above || high === below))) {
      throw refuse(path, "there is no number within the bounds");
    }
    return { grammar: { type }, check };
  }
  const minimum = low === above ? Math.floor(low) + 1 : Math.ceil(low);
  const maximum = high === below ? Math.ceil(high) - 1 : Math.floor(high);
  if (minimum > maximum) {
    throw refuse(path, "there is no integer within the bounds");
  }
  const isLong = minimum > MAX_INTEGER || maximum < -MAX_INTEGER;
  const bounds = { minimum: Math.max(minimum, -MAX_INTEGER), maximum: Math.min(maximum, MAX_INTEGER) };
  return { grammar: { type, ...(isLong ? {} : bounds) }, check };
}

function arrayOf(walk: Walk, schema: Schema, path: string): Reduced {
  const { uniqueItems } = schema;
  if (uniqueItems !== undefined && typeof uniqueItems !== "boolean") {
    throw refuse(path, "uniqueItems is no boolean");
  }
  const lengths = counts(schema, "minItems", "maxItems", path);
  const check: Schema = { type: "array", ...lengths, uniqueItems };
  // draft 7 has the first elements in `items`, and what follows in `additionalItems`
  const draft7 = Array.isArray(schema.items);
  const first: unknown = draft7 ? schema.items : schema.prefixItems;
  const rest: unknown = draft7 ? schema.additionalItems : schema.items;
  if (!draft7 && schema.additionalItems !== undefined && walk.strict) {
    throw refuse(path, "additionalItems has no effect without an array of items");
  }
  if (first === undefined) {
    const items = rest === undefined ? undefined : walk.reduce(rest, `${path}/items`);
    return {
      grammar: { type: "array", ...atMost(lengths), items: items?.grammar ?? {} },
      check: { ...check, items: items?.check ?? {} },
    };
  }
  if (!Array.isArray(first) || first.length === 0) {
    throw refuse(path, "prefixItems is no array with elements");
  }
  if ((lengths.minItems ?? 0) > first.length || (lengths.maxItems ?? Infinity) < first.length) {
    throw refuse(path, `the ${first.length} first elements do not have the array's length`);
  }
  const items = first.map((item, index) => walk.reduce(item, `${path}/prefixItems/${index}`));
  const following = rest === undefined || typeof rest === "boolean" ? rest : walk.reduce(rest, `${path}/items`).check;
  return {
    grammar: { type: "array", prefixItems: items.map(({ grammar }) => grammar) },
    check: { ...check, prefixItems: items.map((item) => item.check), items: following },
  };
}

function objectOf(walk: Walk, schema: Schema, path: string): Reduced {
  const { properties = {}, required = [], additionalProperties: more, propertyNames } = schema;
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
    throw refuse(path, "properties is no object");
  }
  const names = Object.keys(properties);
  if (names.length > MAX_PROPERTIES || names.some((name) => name.length > MAX_NAME)) {
    throw refuse(path, `there are more than ${MAX_PROPERTIES} properties, or a name has more than ${MAX_NAME} characters`);
  }
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string" || !Object.hasOwn(properties, name))) {
    throw refuse(path, "required is no array of names of properties");
  }
  const all = Object.entries(properties).map(([name, part]) => [name, walk.reduce(part, `${path}/properties/${name}`)] as const);
  const rest = typeof more === "object" ? walk.reduce(more, `${path}/additionalProperties`) : undefined;
  if (more !== undefined && typeof more !== "boolean" && !rest) {
    throw refuse(path, "additionalProperties is no schema");
  }
  if (rest && names.some((name) => !/^[A-Za-z0-9_ ]+$/.test(name))) {
    throw refuse(path, "additionalProperties can only be told from properties whose names are letters, digits, _ and spaces");
  }
  const check: Schema = { type: "object", required, ...counts(schema, "minProperties", "maxProperties", path) };
  if (propertyNames !== undefined) {
    check.propertyNames = { ...walk.reduce(propertyNames, `${path}/propertyNames`).check, type: "string" };
  }
  const properTo = (of: keyof Reduced) => Object.fromEntries(all.map(([name, reduced]) => [name, reduced[of]]));
  check.properties = properTo("check");
  check.additionalProperties = rest?.check ?? more;
  // where other properties are not mentioned an answer has none of them; an object about which nothing is said has any
  const additional = rest?.grammar ?? (names.length === 0 && more !== false);
  return { grammar: { type: "object", properties: properTo("grammar"), required, additionalProperties: additional }, check };
}

/** Two counts, of which neither has to be there. */
function counts<Low extends string, High extends string>(schema: Schema, low: Low, high: High, path: string): Partial<Record<Low | High, number>> {
  const found: Partial<Record<Low | High, number>> = {};
  for (const keyword of [low, high]) {
    const value = schema[keyword];
    if (value !== undefined) {
      if (!Number.isSafeInteger(value) || (value as number) < 0) {
        throw refuse(path, `${keyword} is no integer of at least 0`);
      }
      found[keyword] = value as number;
    }
  }
  if ((found[low] ?? 0) > (found[high] ?? Infinity)) {
    throw refuse(path, `${low} is above ${high}`);
  }
  return found;
}

function atMost(lengths: Schema): Schema {
  return Object.fromEntries(Object.entries(lengths).filter(([, length]) => (length as number) <= MAX_REPETITIONS));
}
