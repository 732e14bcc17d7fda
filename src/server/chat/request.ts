import { z } from "zod";
import { answerSchema } from "../../answer/options.js";
import { parseOptions } from "../../base/validate.js";
import { imageOptionsShape } from "../../image/taken-picture.js";

// The request of a chat completion. Each field is honoured, or refused by its name; of fields that this service has no use for, the value
// that asks for nothing is taken. This is also what the OpenAPI document says.

const { temperature, topP, topK, seed, maxTokens, threshold, roi, method, tiles } = answerSchema.shape;

const DETAILS = z.enum(["auto", "low", "high"]);
export type Detail = z.output<typeof DETAILS>;

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });
const imagePart = z.strictObject({ type: z.literal("image_url"), image_url: z.strictObject({ url: z.string().min(1), detail: DETAILS.optional() }) });
const parts = z.array(z.discriminatedUnion("type", [textPart, imagePart])).min(1);

/** What this service says of a picture, which clients send back with the turn that it stood in. */
const said = z.array(z.unknown()).optional();

const noTools = z.array(z.unknown()).max(0).describe("empty array (tools are not called)").optional();

const message = z.discriminatedUnion("role", [
  z.strictObject({ role: z.enum(["system", "developer"]), content: z.union([z.string(), z.array(textPart).min(1)]) }),
  z.strictObject({ role: z.literal("user"), content: z.union([z.string(), parts]) }),
  z.strictObject({ role: z.literal("assistant"), content: z.union([z.string(), z.array(textPart).min(1)]), annotations: said, tool_calls: noTools }),
]);
export type Message = z.output<typeof message>;

const jsonSchema = z.strictObject({
  name: z.string().min(1),
  description: z.string().optional(),
  schema: z.record(z.string(), z.unknown()),
  strict: z.boolean().optional(),
});

const responseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({ type: z.literal("json_schema"), json_schema: jsonSchema }),
]);

/** The service's own options. */
const own = z.strictObject({
  roi: z.enum(["auto", "always", "never"]).optional(),
  threshold,
  boxes: roi.unwrap().options[1].min(1).max(16).describe("array of boxes { x, y, width, height }, in pixels of the picture").optional(),
  method,
  tiles,
  ...imageOptionsShape,
  map: z.boolean().default(false),
  overlay: z.boolean().default(false),
});

export const chatSchema = z.strictObject({
  model: z.string().optional(),
  messages: z.array(message).min(1),
  stream: z.boolean().default(false),
  stream_options: z.strictObject({ include_usage: z.boolean().default(false), include_obfuscation: z.literal(false).optional() }).optional(),
  max_tokens: maxTokens.unwrap().optional(),
  max_completion_tokens: maxTokens.unwrap().optional(),
  temperature: temperature.unwrap().max(2).optional(),
  top_p: topP.unwrap().optional(),
  top_k: topK.unwrap().optional(),
  seed,
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).optional(),
  logprobs: z.boolean().default(false),
  top_logprobs: z.int().min(0).max(20).optional(),
  response_format: responseFormat.optional(),
  sd_rpn: own.optional(),
  // said about the client, and of no effect on the answer
  user: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  safety_identifier: z.string().optional(),
  prompt_cache_key: z.string().optional(),
  // of no effect but for these values
  n: z.literal(1).optional(),
  tools: noTools,
  functions: noTools,
  tool_choice: z.enum(["none", "auto"]).describe('"none" or "auto" (tools are not called)').optional(),
  function_call: z.enum(["none", "auto"]).describe('"none" or "auto" (functions are not called)').optional(),
  parallel_tool_calls: z.boolean().optional(),
  frequency_penalty: z.literal(0).optional(),
  presence_penalty: z.literal(0).optional(),
  logit_bias: z.strictObject({}).describe("empty object (tokens have no bias)").optional(),
  modalities: z.array(z.literal("text")).describe("array of text (nothing else is written)").optional(),
  store: z.literal(false).optional(),
  service_tier: z.enum(["auto", "default"]).optional(),
});

export type ChatRequest = z.output<typeof chatSchema>;

/** @throws {SdRpnError} INVALID_ARGUMENT with the field's name */
export function parseChat(body: unknown): ChatRequest {
  return parseOptions(chatSchema, withoutNulls(body, 3));
}

/** Clients write null for a field that they leave out. Of messages too, but not inside of schemas and metadata. */
function withoutNulls(value: unknown, levels: number): unknown {
  if (levels === 0 || typeof value !== "object" || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map((each) => withoutNulls(each, levels - 1));
  }
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(entries.map(([name, each]) => [name, name === "metadata" || name === "json_schema" ? each : withoutNulls(each, levels - 1)]));
}
