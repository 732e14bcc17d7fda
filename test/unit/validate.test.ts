import { z } from "zod";
import { SdRpnError } from "../../src/base/errors";
import { invalidArgument, parseOptions } from "../../src/base/validate";

const box = z.strictObject({ x: z.number(), y: z.number(), width: z.number().positive(), height: z.number().positive() });
const schema = z.strictObject({
  threshold: z.number().min(-1).max(1),
  maxTokens: z.int().min(1).default(128),
  seed: z.int().optional(),
  temperature: z.number().nonnegative().optional(),
  ratio: z.number().gt(0).lt(1).optional(),
  size: z.strictObject({ width: z.int().min(1).max(9), height: z.int().min(1).max(9) }).optional(),
  roi: z.union([z.enum(["auto", "always", "never"]), z.array(box)]).optional(),
  stop: z.array(z.string()).min(1).optional(),
  path: z.string().min(1).nullable().optional(),
  signal: z.instanceof(AbortSignal).optional(),
  onToken: z.custom<(text: string) => void>((value) => typeof value === "function").describe("function").optional(),
});

function failure(value: unknown, name?: string, of: z.ZodType = schema): SdRpnError {
  try {
    parseOptions(of, value, name);
  } catch (error) {
    return error as SdRpnError;
  }
  throw new Error("nothing was thrown");
}

test("valid options come out typed, with their defaults", () => {
  const options = parseOptions(schema, { threshold: 0.5, onToken: () => {} });
  const maxTokens: number = options.maxTokens;
  expect([options.threshold, maxTokens]).toEqual([0.5, 128]);
});

test("the error has its class, code and cause", () => {
  const error = failure({ threshold: 2 });
  expect(error).toBeInstanceOf(SdRpnError);
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.cause).toBeInstanceOf(z.ZodError);
});

test.each<[unknown, string]>([
  [{ threshold: "high" }, "Expected number between -1 and 1 for threshold but received high of type string"],
  [{ threshold: 3 }, "Expected number between -1 and 1 for threshold but received 3 of type number"],
  [{ threshold: NaN }, "Expected number between -1 and 1 for threshold but received NaN of type number"],
  [{}, "Expected number between -1 and 1 for threshold but received undefined"],
  [{ threshold: 0, maxTokens: 1.5 }, "Expected integer of at least 1 for maxTokens but received 1.5 of type number"],
  [{ threshold: 0, maxTokens: 0 }, "Expected integer of at least 1 for maxTokens but received 0 of type number"],
  [{ threshold: 0, seed: "a" }, "Expected integer for seed but received a of type string"],
  [{ threshold: 0, seed: 2n }, "Expected integer for seed but received 2 of type bigint"],
  [{ threshold: 0, temperature: -1 }, "Expected number of at least 0 for temperature but received -1 of type number"],
  [{ threshold: 0, ratio: 1 }, "Expected number above 0 and below 1 for ratio but received 1 of type number"],
  [{ threshold: 0, size: { width: 12, height: 1 } }, "Expected integer between 1 and 9 for size.width but received 12 of type number"],
  [{ threshold: 0, size: 3 }, "Expected object with width and height for size but received 3 of type number"],
  [{ threshold: 0, roi: "sometimes" }, "Expected auto, always, never or array of object with x, y, width and height for roi but received sometimes of type string"],
  [{ threshold: 0, roi: [{ x: 0, y: "top", width: 1, height: 1 }] }, "Expected finite number for roi[0].y but received top of type string"],
  [{ threshold: 0, stop: [] }, "Expected array of string with at least 1 elements for stop but received Array of length 0"],
  [{ threshold: 0, stop: ["a", 4] }, "Expected string for stop[1] but received 4 of type number"],
  [{ threshold: 0, path: "" }, "Expected non-empty string or null for path but received an empty text of type string"],
  [{ threshold: 0, signal: {} }, "Expected AbortSignal for signal but received an empty object"],
  [{ threshold: 0, signal: { aborted: true } }, "Expected AbortSignal for signal but received object with aborted"],
  [{ threshold: 0, signal: new Date(0) }, "Expected AbortSignal for signal but received Date of type object"],
  [{ threshold: 0, onToken: 1 }, "Expected function for onToken but received 1 of type number"],
  [{ threshold: () => 1 }, "Expected number between -1 and 1 for threshold but received a function"],
  [{ threshold: "z".repeat(200) }, `Expected number between -1 and 1 for threshold but received ${"z".repeat(80)}... of type string`],
  [null, "Expected object with threshold for options but received null"],
  [5, "Expected object with threshold for options but received 5 of type number"],
  [[1], "Expected object with threshold for options but received Array of length 1"],
])("%p explains itself", (value, message) => {
  expect(failure(value).message).toBe(message);
});

test.each<[Record<string, unknown>, string]>([
  [{ treshold: 0.1 }, "Unknown option treshold, did you mean threshold?"],
  [{ threshold: 0, max_tokens: 5 }, "Unknown option max_tokens, did you mean maxTokens?"],
  [{ threshold: 0, SEED: 5 }, "Unknown option SEED, did you mean seed?"],
  [{ threshold: 0, size: { width: 1, heigth: 1 } }, "Unknown option size.heigth, did you mean size.height?"],
  [{ threshold: 0, roi: [{ x: 0, y: 0, width: 1, hieght: 1 }] }, "Unknown option roi[0].hieght, did you mean roi[0].height?"],
  [{ threshold: 0, size: { width: 1, height: 1, colour: 1 } }, "Unknown option size.colour, known are width and height"],
])("the unknown name in %j is told with what was meant", (value, message) => {
  expect(failure(value).message).toBe(message);
});

test("a name that resembles none lists what there is", () => {
  expect(failure({ threshold: 0, zoom: 1 }).message).toBe(
    "Unknown option zoom, known are threshold, maxTokens, seed, temperature, ratio, size, roi, stop, path, signal and onToken",
  );
  expect(failure({ zoom: 1 }, "options", z.strictObject({})).message).toBe("Unknown option zoom, there are none");
});

test("what is nullable explains itself like what is not", () => {
  const nullable = z.strictObject({ crop: box.nullable(), roi: z.union([z.literal("auto"), z.array(box)]).nullable() });
  const of = (change: object) => failure({ crop: null, roi: null, ...change }, "options", nullable).message;
  const whole = { x: 0, y: 0, width: 1, height: 1 };
  expect(of({ crop: { ...whole, width: 0 } })).toBe("Expected number above 0 for crop.width but received 0 of type number");
  expect(of({ crop: { ...whole, widht: 0 } })).toBe("Unknown option crop.widht, did you mean crop.width?");
  expect(of({ crop: 1 })).toBe("Expected object with x, y, width and height or null for crop but received 1 of type number");
  expect(of({ roi: [{ ...whole, depth: 0 }] })).toBe("Unknown option roi[0].depth, known are x, y, width and height");
  expect(of({ roi: [{ ...whole, x: "a" }] })).toBe("Expected finite number for roi[0].x but received a of type string");
  expect(of({ roi: 1 })).toBe("Expected auto, array of object with x, y, width and height or null for roi but received 1 of type number");
});

test("records and unions told apart by a literal are followed", () => {
  const rates = z.strictObject({ rates: z.record(z.string(), z.number().max(1)) });
  expect(failure({ rates: { first: 2 } }, "options", rates).message).toBe("Expected number of at most 1 for rates.first but received 2 of type number");
  const source = z.discriminatedUnion("kind", [z.strictObject({ kind: z.literal("path"), path: z.string() }), z.strictObject({ kind: z.literal("url"), url: z.string() })]);
  expect(failure({ kind: "path", path: 1 }, "source", source).message).toBe("Expected string for source.path but received 1 of type number");
  expect(failure({ kind: "file" }, "source", source).message).toBe("Expected path or url for source.kind but received file of type string");
});

test("a value with a name of its own is called by it", () => {
  expect(failure({ width: 0, height: 1 }, "image", z.strictObject({ width: z.int().min(1), height: z.int() })).message).toBe(
    "Expected integer of at least 1 for image.width but received 0 of type number",
  );
  expect(failure("x", "tokens", z.int().max(4)).message).toBe("Expected integer of at most 4 for tokens but received x of type string");
});

test("the message of a refinement stands as written", () => {
  const ordered = z.strictObject({ min: z.number(), max: z.number() }).refine(({ min, max }) => min <= max, "min must not exceed max");
  expect(failure({ min: 2, max: 1 }, "options", ordered).message).toBe("min must not exceed max");
});

test("a check without a schema gives the same kind of error", () => {
  const error = invalidArgument("4 logits", "logits", new Float32Array(3));
  expect([error.code, error.message]).toEqual(["INVALID_ARGUMENT", "Expected 4 logits for logits but received Float32Array of length 3"]);
});
