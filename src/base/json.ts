/** What `JSON.parse(JSON.stringify(value))` gives where typed arrays become arrays of numbers. */
export type Json<T> = T extends ArrayBufferView
  ? number[]
  : T extends (infer Element)[]
    ? Json<Element>[]
    : T extends object
      ? { [Key in keyof T as Key extends "toJSON" ? never : Key]: Json<T[Key]> }
      : T;

/**
 * Gives a result a `toJSON` that `JSON.stringify` calls: on its own, JSON makes an object with the keys "0", "1", ... of a
 * typed array. The property is not enumerable, so that the result can still be cloned, spread and compared as a plain object.
 */
export function withJson<T extends object>(result: T): T & { toJSON(): Json<T> } {
  return Object.defineProperty(result, "toJSON", { value: () => plainCopy(result), configurable: true, writable: true }) as T & { toJSON(): Json<T> };
}

/** A copy with arrays of numbers in the place of typed arrays, at any depth. */
export function plainCopy<T>(value: T): Json<T>;
export function plainCopy(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    return Array.from(value as Float32Array);
  }
  if (Array.isArray(value)) {
    return value.map((element: unknown) => plainCopy(element));
  }
  if (typeof value === "object" && value !== null && !inheritsToJson(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plainCopy(part as unknown)]));
  }
  return value;
}

/** Whether JSON.stringify asks the value's class, as it does for dates. */
function inheritsToJson(value: object): boolean {
  return !Object.hasOwn(value, "toJSON") && typeof (value as { toJSON?: unknown }).toJSON === "function";
}
