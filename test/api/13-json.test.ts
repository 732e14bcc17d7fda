import { z } from "zod";
import * as mini from "zod/mini";
import { type AnswerOptions, HINT_CODES, loadModel, type Model } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const [{ image, question }, second, third] = demoQuestions("object");
let model: Model;
beforeAll(async () => {
  model = await loadModel({ parallel: 3 });
});
afterAll(() => model.dispose());

const json = <Schema extends object>(schema: Schema) => ({ type: "json" as const, schema });

test("a zod schema gives a value of its type", async () => {
  const schema = z.object({ code: z.string().regex(/^[A-Z]\d[A-Z]$/), floor: z.int().min(0).max(9), sure: z.boolean() });
  const answer = await model.answer(image, question, { format: json(schema) });
  const value: z.output<typeof schema> | null = answer.value;
  expect(schema.parse(value)).toEqual(value);
  expect(JSON.parse(answer.text)).toEqual(value);
  expect(answer).toMatchObject({ finishReason: "stop", hints: [] });
});

test("defaults, transforms and coercions of zod are applied to the value", async () => {
  const schema = z.object({
    digit: z.string().regex(/^\d$/).transform(Number),
    unit: z.literal("mm").optional(),
    kind: z.enum(["a", "b"]).transform((kind) => ({ kind })),
  });
  const { value, text } = await model.answer(image, question, { format: json(schema) });
  expect(value).toEqual({ ...JSON.parse(text), digit: expect.any(Number), kind: { kind: expect.stringMatching(/^[ab]$/) } });
  const dated = z.object({ day: z.enum(["2024-02-29"]).transform((day) => new Date(day)) });
  const { value: date } = await model.answer(image, question, { format: json(dated) });
  expect(date!.day.getTime()).toBe(Date.UTC(2024, 1, 29));
  const whole = await model.answer(image, question, { format: json(dated) });
  expect((JSON.parse(JSON.stringify(whole)) as { value: unknown }).value).toEqual({ day: "2024-02-29T00:00:00.000Z" });
});

test("zod/mini and recursive schemas", async () => {
  const small = mini.object({ a: mini.boolean(), b: mini.optional(mini.boolean()) });
  expect(small.parse((await model.answer(image, question, { format: json(small) })).value)).toHaveProperty("a");
  interface Tree { leaf: boolean; rest: Tree[] }
  const tree: z.ZodType<Tree> = z.object({ leaf: z.boolean(), get rest() { return z.array(tree).max(1); } });
  const { value, finishReason } = await model.answer(image, question, { format: json(tree), maxTokens: 200 });
  expect(finishReason === "stop" ? tree.parse(value) : value).toEqual(value);
});

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values of any shape, taken apart below
type AnyValue = any;

// each with what JSON Schema says of its values, in JavaScript
const schemas: Record<string, [schema: object, holds: (value: AnyValue) => boolean]> = {
  integer: [{ type: "integer", minimum: -5, maximum: 17 }, (v) => Number.isInteger(v) && v >= -5 && v <= 17],
  "integer above": [{ type: "integer", exclusiveMinimum: 3, exclusiveMaximum: 5 }, (v) => v === 4],
  "integer between fractions": [{ type: "integer", minimum: 1.5, maximum: 2.5 }, (v) => v === 2],
  "only a minimum": [{ type: "integer", minimum: 120 }, (v) => Number.isInteger(v) && v >= 120],
  "any integer": [{ type: "integer" }, (v) => Number.isSafeInteger(v)],
  "only a maximum": [{ type: "integer", maximum: -7 }, (v) => Number.isInteger(v) && v <= -7],
  number: [{ type: "number" }, (v) => typeof v === "number"],
  lengths: [{ type: "string", minLength: 2, maxLength: 4 }, (v) => [...v].length >= 2 && [...v].length <= 4],
  pattern: [{ type: "string", pattern: "^(?:ab|c)+?[0-9]{2}\\.\\d[\\w.-]$" }, (v) => /^(?:ab|c)+[0-9]{2}\.\d[\w.-]$/.test(v)],
  "any character": [{ type: "string", pattern: "^x.{2}\\sy$" }, (v) => /^x.{2}\sy$/.test(v)],
  date: [{ type: "string", format: "date" }, (v) => /^\d{4}-\d{2}-\d{2}$/.test(v)],
  uuid: [{ type: "string", pattern: "^[0-9a-f]{4}$" }, (v) => /^[0-9a-f]{4}$/.test(v)],
  enum: [{ enum: ["one", 2, null, true, "it's \"5\""] }, (v) => ["one", 2, null, true, "it's \"5\""].includes(v)],
  const: [{ const: "é€😀" }, (v) => v === "é€😀"],
  types: [{ type: ["integer", "null"], minimum: 0, maximum: 3 }, (v) => v === null || [0, 1, 2, 3].includes(v)],
  "list of integers": [{ type: "array", items: { type: "integer", minimum: 0, maximum: 9 }, minItems: 2, maxItems: 3 }, (v) => [2, 3].includes(v.length) && v.every((n: number) => n >= 0 && n <= 9)],
  tuple: [{ type: "array", prefixItems: [{ type: "boolean" }, { const: 1 }], items: false }, (v) => v.length === 2 && typeof v[0] === "boolean" && v[1] === 1],
  "tuple of draft 7": [{ items: [{ type: "boolean" }, { const: 1 }], additionalItems: false }, (v) => v.length === 2 && v[1] === 1],
  object: [{ type: "object", properties: { a: { type: "boolean" }, "b \"c\"": { type: "null" }, d: { type: "boolean" } }, required: ["b \"c\""] }, (v) => v["b \"c\""] === null && ["boolean", "undefined"].includes(typeof v.a)],
  "nothing else": [{ properties: { a: { type: "boolean" } }, additionalProperties: false }, (v) => Object.keys(v).every((k) => k === "a")],
  record: [{ type: "object", additionalProperties: { type: "boolean" }, properties: { n: { const: 1 } }, required: ["n"] }, (v) => v.n === 1 && Object.entries(v).every(([k, x]) => k === "n" || typeof x === "boolean")],
  anyOf: [{ anyOf: [{ const: 1 }, { type: "boolean" }] }, (v) => v === 1 || typeof v === "boolean"],
  allOf: [{ allOf: [{ $ref: "#/definitions/x~1y" }], definitions: { "x/y": { const: 5 } } }, (v) => v === 5],
  nested: [{ $defs: { p: { type: "object", properties: { q: { $ref: "#/$defs/r" } }, required: ["q"] }, r: { enum: ["s"] } }, $ref: "#/$defs/p" }, (v) => v.q === "s"],
  annotations: [{ $schema: "https://json-schema.org/draft/2020-12/schema", title: "t", description: "d", default: false, examples: [true], type: "boolean" }, (v) => typeof v === "boolean"],
  __proto__name: [JSON.parse("{\"type\":\"object\",\"properties\":{\"__proto__\":{\"const\":1}},\"required\":[\"__proto__\"]}"), (v) => Object.entries(v)[0][1] === 1],
};

test.each(Object.entries(schemas))("JSON Schema: %s", async (name, [schema, holds]) => {
  let whole = 0;
  for (const options of [{}, { temperature: 1, seed: 1 }, { temperature: 3, seed: 2 }, { temperature: 3, seed: 3 }]) {
    const { value, text, finishReason, hints } = await model.answer(image, question, { ...options, format: json(schema), roi: "never", maxTokens: 400 });
    if (name !== "number") { // random digits of an exponent may be too many
      expect(hints.filter(({ code }) => code === "VALUE_INVALID")).toEqual([]); // the grammar holds all of it
    }
    if (finishReason === "stop" && hints.length === 0) {
      expect(JSON.parse(text)).toEqual(value);
      expect([text, holds(value)]).toEqual([text, true]);
      whole++;
    } else {
      expect(value).toBeNull();
    }
  }
  expect(whole).toBeGreaterThanOrEqual(1);
});

test("what a grammar cannot hold is checked: null, a hint, and the text as it came", async () => {
  const checks: object[] = [
    { type: "number", exclusiveMaximum: -1, multipleOf: 0.5, minimum: -1.2 },
    { type: "integer", minimum: 2 ** 53 },
    { type: "array", items: { const: 1 }, minItems: 3, maxItems: 3, uniqueItems: true },
    { type: "string", pattern: "^(?!.)" , minLength: 1, maxLength: 2 },
    { type: "object", properties: { a: { const: 1 } }, required: ["a"], minProperties: 2, additionalProperties: false },
    { oneOf: [{ const: 1 }, { enum: [1] }] },
    z.literal("a").refine(() => false, "never right"),
    z.object({ n: z.literal(1) }).refine(async () => false, { message: "never right", path: ["n"] }),
  ];
  for (const schema of checks) {
    const answer = await model.answer(image, question, { format: json(schema), roi: "never" });
    expect(answer.value).toBeNull();
    expect(() => JSON.parse(answer.text) as unknown).not.toThrow();
    expect(answer.hints).toEqual([{ code: "VALUE_INVALID", message: expect.stringContaining("beyond its grammar") }]);
  }
  const refined = await model.answer(image, question, { format: json(checks[checks.length - 1]), roi: "never" });
  expect(refined.hints[0].message).toContain("at n: never right");
  expect(HINT_CODES).toContain(refined.hints[0].code);
});

test("a text that is cut off has no value, and a hint", async () => {
  const answer = await model.answer(image, question, { format: json(z.string().min(50)), maxTokens: 5 });
  expect(answer).toMatchObject({ finishReason: "length", value: null, hints: [{ code: "VALUE_CUT" }] });
  expect(answer.text[0]).toBe("\"");
});

test("together, in sessions and in streams; aborted ones have null", async () => {
  const format = json(z.object({ code: z.string().max(3), sure: z.boolean() }));
  const ask = ({ image, question }: typeof second, options: AnswerOptions = {}) => model.answer(image, question, { roi: "never", ...options });
  const alone = [await ask(second, { format }), await ask(third), await ask(second)].map(({ text }) => text);
  const together = await Promise.all([ask(second, { format }), ask(third), ask(second)]);
  expect(together.map(({ text }) => text)).toEqual(alone);

  await using session = await model.open(second.image);
  let streamed: unknown;
  for await (const event of session.answerStream(second.question, { format, roi: "never" })) {
    if (event.type === "done") streamed = event.answer.value satisfies { code: string; sure: boolean } | null;
  }
  expect(streamed).toEqual(JSON.parse(alone[0]));

  const stop = new AbortController();
  const long = json({ type: "string", minLength: 900 });
  const aborted = model.answer(image, question, { format: long, maxTokens: 1500, roi: "never", signal: stop.signal, onToken: () => stop.abort() });
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED", answer: { value: null, hints: [] } });
  expect("value" in (await ask(second))).toBe(false);
});

describe("refused before the picture is read", () => {
  const deep = (n: number): object => (n === 0 ? { type: "null" } : { type: "array", items: deep(n - 1) });
  const cyclic: Record<string, unknown> = { type: "array" };
  cyclic.items = cyclic;
  const many = (n: number) => ({ type: "object", properties: Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, { type: "null" }])) });
  const bad: [unknown, string][] = [
    [undefined, "zod schema or object of JSON Schema for format.schema"],
    [[], "zod schema or object of JSON Schema"],
    [{ type: "strin" }, "at # the type is not one of object, array"],
    [{ type: [] }, "the type is not one of"],
    [{ typ: "string" }, "typ has no effect here"],
    [{ type: "object", properties: { a: { type: "integer", maxLength: 2 } } }, "at #/properties/a maxLength has no effect here"],
    [{ type: "object", properties: { a: false } }, "at #/properties/a is false"],
    [{ type: "object", patternProperties: {} }, "patternProperties has no effect here, or is not supported"],
    [{ not: { type: "null" } }, "not is not supported"],
    [{ type: "object", required: ["a"] }, "required is no array of names of properties"],
    [{ type: "array", items: { $ref: "#/$defs/no" } }, "$ref #/$defs/no is not there"],
    [{ $ref: "http://example.com/a" }, "is not there"],
    [{ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } }, "there is no grammar for it"],
    [{ $ref: "#" }, "there is no grammar for it"],
    [{ anyOf: [{ $ref: "#" }, { type: "null" }] }, "there is no grammar for it"],
    [{ anyOf: [] }, "at #/anyOf is no array with elements"],
    [{ anyOf: [{}], type: "string" }, "type has no effect here, or is not supported beside anyOf"],
    [{ allOf: [{ type: "object" }, { type: "object" }] }, "are several schemas"],
    [{ enum: [{}] }, "is a value that is no string"],
    [{ enum: ["a"], type: "integer" }, "\"a\", which is not of the type integer"],
    [{ minLength: 1, minimum: 2 }, "keywords of string and number and no type"],
    [{ type: "string", minLength: 3, maxLength: 2 }, "minLength is above maxLength"],
    [{ type: "string", maxLength: -1 }, "maxLength is no integer of at least 0"],
    [{ type: "string", pattern: "(" }, "pattern is no regular expression"],
    [{ type: "string", format: "colour" }, "format is not one of email"],
    [{ type: "integer", minimum: 2, exclusiveMaximum: 2 }, "no integer within the bounds"],
    [{ type: "number", minimum: "2" }, "minimum is no finite number"],
    [{ type: "number", minimum: 2, exclusiveMinimum: true }, "exclusiveMinimum is no finite number"],
    [{ type: "array", prefixItems: [{}], minItems: 2 }, "do not have the array's length"],
    [{ type: "object", properties: { "a-b": {} }, additionalProperties: { type: "null" } }, "letters, digits, _ and spaces"],
    [deep(40), "more than 32 levels deep"],
    [cyclic, "more than 32 levels deep"],
    [many(101), "more than 100 properties"],
    [{ anyOf: Array.from({ length: 30 }, () => many(100)) }, "more than 2000 parts"],
    [z.date(), "Date cannot be represented"],
    [z.object({ a: z.never() }), "not is not supported"],
    [z.map(z.string(), z.string()), "cannot be represented"],
    [{ _def: {}, parse: () => 1 }, "one of zod 3"],
  ];
  test.each(bad)("%#", async (schema, message) => {
    await expect(model.answer("missing.png", question, { format: json(schema as object) })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message),
    });
  });

  test.each<[AnswerOptions, string]>([
    [{ grammar: "root ::= \"a\"" }, "no grammar beside a format"],
    [{ stop: "x" }, "no text beside a format"],
    [{ format: { type: "xml" as "json", schema: {} } }, "json for format.type"],
    [{ format: { type: "json", schema: {}, strict: true } as AnswerOptions["format"] }, "Unknown option format.strict"],
  ])("%j", async (options, message) => {
    const call = model.answer("missing.png", question, { format: json({ type: "boolean" }), ...options });
    await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
  });

  test("in bounded time", async () => {
    const longName = { type: "object", properties: { ["é".repeat(200)]: { type: "object", properties: { ["\"".repeat(200)]: deep(20) } } } };
    for (const schema of [many(100), longName, { enum: ["\"\n".repeat(20_000)] }, { type: "string", pattern: `^${"(".repeat(5000)}a${")".repeat(5000)}$` }]) {
      const start = performance.now();
      const call = model.answer("missing.png", question, { format: json(schema) });
      expect(["IMAGE_INVALID", "INVALID_ARGUMENT"]).toContain(await call.catch((error: unknown) => (error as { code: string }).code));
      expect(performance.now() - start).toBeLessThan(3000);
    }
    expect((await model.answer(image, question, { format: json({ const: 1 }) })).value).toBe(1);
  });
});
