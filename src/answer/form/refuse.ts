import { SdRpnError } from "../../base/errors.js";

/** A JSON schema, or a part of one. */
export type Schema = Record<string, unknown>;

/** One part of a schema twice: what a grammar can hold of it, and all of it, in a form that zod's check of JSON schemas knows. */
export interface Reduced {
  grammar: Schema;
  check: Schema;
}

/** @param path of the part of the schema that is to blame */
export function refuse(path: string, what: string): SdRpnError {
  return new SdRpnError("INVALID_ARGUMENT", `Expected a JSON schema that answers can keep to for format.schema but at ${short(path)} ${short(what)}`);
}

/** Names in a schema may be of any length. */
function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}
