import { z } from "zod";
import { SdRpnError } from "./errors.js";
import { levenshtein } from "./levenshtein.js";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** The parts of JSON Schema that this file reads; zod can convert its schemas to it. */
interface Node {
  type?: string;
  description?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Node[];
  oneOf?: Node[];
  properties?: Record<string, Node>;
  required?: string[];
  items?: Node;
  additionalProperties?: Node | boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  minItems?: number;
  maxItems?: number;
}

/**
 * Checks `value` against `schema` and returns zod's output: defaults filled in, transforms applied.
 *
 * The message of the error is made from the schema: `z.number().min(-1).max(1)` reads "number between -1 and 1". Where a
 * schema has a description (`.describe("function")`), that is what was expected; give one to every `z.custom`, and to a
 * `z.instanceof` in a union. Options must be `z.strictObject`, which alone lets an unknown name be noticed. The message of
 * a `refine` is used unchanged.
 *
 * @param name what `value` is called in messages. Parts of "options" go by their own names (`grid.width`), parts of
 *   anything else by its name and theirs (`image.width`).
 * @throws {SdRpnError} INVALID_ARGUMENT, such as "Expected number between -1 and 1 for threshold but received high of
 *   type string" or "Unknown option treshold, did you mean threshold?"; zod's error is its cause.
 */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, value: unknown, name = "options"): z.output<Schema> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) {
    return result.data;
  }
  const node = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", cycles: "ref" }) as Node;
  throw new SdRpnError("INVALID_ARGUMENT", explain(result.error.issues, node, name, []), { cause: result.error });
}

/** "Expected integer between 1 and 9 for x but received 12 of type number" as an error; for checks without a schema. */
export function invalidArgument(expected: string, name: string, received: unknown): SdRpnError {
  return new SdRpnError("INVALID_ARGUMENT", `Expected ${expected} for ${name} but received ${describeValue(received)}`);
}

/** The message for the most informative of `issues`, which come from the schema `node` at `path`. */
function explain(issues: readonly Issue[], node: Node, name: string, path: Path): string {
  // A misspelt name often also gives the issue that a required one is missing; the misspelling explains both.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  const at = [...path, ...issue.path];
  const field = nodeAt(node, issue.path);

  if (issue.code === "unrecognized_keys") {
    return explainUnknown(issue.keys[0], field, name, at);
  }
  if (issue.code === "invalid_union") {
    const index = issue.errors.findIndex(isInside);
    if (index >= 0) {
      return explain(issue.errors[index], field, name, at);
    }
  }
  if (issue.code === "custom" && field.description === undefined && issue.message !== "Invalid input") {
    return issue.message;
  }
  const expected = describeNode(field) ?? (issue.code === "invalid_type" ? issue.expected : "valid value");
  return `Expected ${expected} for ${nameOf(name, at)} but received ${describeValue(receivedOf(issue))}`;
}

/** The value received. For a discriminated union zod's path is the discriminator's but its input is the whole object. */
function receivedOf(issue: Issue): unknown {
  const discriminator = issue.code === "invalid_union" ? issue.discriminator : undefined;
  return discriminator === undefined ? issue.input : (issue.input as Record<string, unknown>)[discriminator];
}

/** Whether the value has the type of this branch of a union, so that the fault is inside the value. */
function isInside(issues: readonly Issue[]): boolean {
  return issues.every(({ code, path }) => code === "unrecognized_keys" || path.length > 0);
}

function explainUnknown(key: string, node: Node, name: string, path: Path): string {
  const known = [...new Set(leavesOf(node).flatMap(({ properties }) => Object.keys(properties ?? {})))];
  const near = nearest(key, known);
  const unknown = `Unknown option ${nameOf(name, [...path, key])}`;
  if (near !== undefined) {
    return `${unknown}, did you mean ${nameOf(name, [...path, near])}?`;
  }
  return known.length > 0 ? `${unknown}, known are ${list(known, "and")}` : `${unknown}, there are none`;
}

/** The known name that `key` is a misspelling of: at most two letters in five differ, case aside. */
function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const distance = levenshtein(key.toLowerCase(), candidate.toLowerCase());
    if (distance < least && distance <= 0.4 * Math.max(key.length, candidate.length)) {
      best = candidate;
      least = distance;
    }
  }
  return best;
}

/** The schema of the part at `path`: a union of all candidates where a union is on the path, empty where unknown. */
function nodeAt(root: Node, path: Path): Node {
  return path.reduce<Node>((node, key) => {
    const children = leavesOf(node).flatMap((leaf) => childOf(leaf, key) ?? []);
    return children.length === 1 ? children[0] : children.length > 1 ? { anyOf: children } : {};
  }, root);
}

function childOf({ items, properties, additionalProperties: rest }: Node, key: PropertyKey): Node | undefined {
  if (typeof key === "number") {
    return items;
  }
  return properties?.[String(key)] ?? (typeof rest === "object" ? rest : undefined);
}

/** The alternatives of a union, nested ones included; the node itself where it is not a union. */
function leavesOf(node: Node): Node[] {
  return (node.anyOf ?? node.oneOf)?.flatMap(leavesOf) ?? [node];
}

/** `["roi", 0, "y"]` is roi[0].y */
function nameOf(name: string, path: Path): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`),
    name === "options" && path.length > 0 ? "" : name,
  );
}

/** What a schema accepts, in words; undefined where its JSON form says nothing. */
function describeNode(node: Node): string | undefined {
  if (node.description !== undefined) {
    return node.description;
  }
  const alternatives = alternativesOf(node);
  if (alternatives) {
    return list([...new Set(alternatives)], "or");
  }
  switch (node.type) {
    case "number":
    case "integer":
      return describeNumber(node);
    case "string":
      return node.minLength ? "non-empty string" : "string";
    case "array":
      return describeArray(node);
    case "object":
      return node.required?.length ? `object with ${list(node.required, "and")}` : "object";
    default:
      return node.type;
  }
}

/** The alternatives of a literal, an enum or a union, nested unions flattened; undefined for other schemas. */
function alternativesOf(node: Node): string[] | undefined {
  if (node.const !== undefined) {
    return [String(node.const)];
  }
  if (node.enum) {
    return node.enum.map(String);
  }
  return (node.anyOf ?? node.oneOf)?.flatMap((branch) => {
    const nested = branch.description === undefined ? alternativesOf(branch) : undefined;
    return nested ?? [describeNode(branch) ?? "other value"];
  });
}

function describeNumber(node: Node): string {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = node;
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined;
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined;
  const bounds: string[] = [];
  if (low !== undefined && high !== undefined) {
    bounds.push(`between ${low} and ${high}`);
  } else {
    if (low !== undefined) bounds.push(`of at least ${low}`);
    if (high !== undefined) bounds.push(`of at most ${high}`);
  }
  if (above !== undefined) bounds.push(`above ${above}`);
  if (below !== undefined) bounds.push(`below ${below}`);
  const kind = node.type === "integer" ? "integer" : bounds.length > 0 ? "number" : "finite number";
  return [kind, bounds.join(" and ")].filter(Boolean).join(" ");
}

function describeArray({ items, minItems, maxItems }: Node): string {
  const bounds = [minItems ? `at least ${minItems}` : "", maxItems === undefined ? "" : `at most ${maxItems}`].filter(Boolean);
  const size = minItems !== undefined && minItems === maxItems ? `exactly ${minItems}` : bounds.join(" and ");
  const element = items && describeNode(items);
  return `array${element === undefined ? "" : ` of ${element}`}${size ? ` with ${size} elements` : ""}`;
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) {
    return String(value);
  }
  if (typeof value === "function") {
    return "a function";
  }
  if (typeof value === "object") {
    const type = value.constructor?.name || "object";
    const length = (value as { length?: unknown }).length;
    return typeof length === "number" ? `${type} of length ${length}` : type === "Object" ? describeObject(value) : `${type} of type object`;
  }
  const text = String(value);
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return `${shown === "" ? "an empty text" : shown} of type ${typeof value}`;
}

function describeObject(value: object): string {
  const keys = Object.keys(value);
  return keys.length === 0 ? "an empty object" : `object with ${list(keys.slice(0, 8), "and")}`;
}

/** "a, b and c" */
function list(words: readonly string[], last: "and" | "or"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words[words.length - 1]}`;
}
