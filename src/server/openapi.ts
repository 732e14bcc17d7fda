import { z } from "zod";
import { version } from "../base/version.js";
import { chatSchema } from "./chat/request.js";
import { regionSchema } from "./region-request.js";

const REFUSALS = {
  400: "a field is wrong, or cannot be honoured: `param` names it",
  401: "no API key, or an unknown one",
  403: "a page of an origin that was not allowed",
  404: "no such model",
  413: "the request, or the picture, is too large",
  415: "the body is of another media type",
  422: "the picture cannot be read, or the model cannot do this",
  429: "as many questions wait as may; `Retry-After` says when to come again",
  500: "a defect of the service",
  503: "the service is loading or draining",
  504: "it took longer than the service allows",
};

const error = { type: "object", required: ["error"], properties: { error: { type: "object", required: ["message", "type", "param", "code"], properties: { message: { type: "string" }, type: { type: "string" }, param: { type: ["string", "null"] }, code: { type: "string" } } } } };

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: object) => ({ "application/json": { schema } });
const refused = Object.fromEntries(Object.entries(REFUSALS).map(([status, description]) => [status, { description, content: json(ref("Error")) }]));
const answered = (description: string, content: object) => ({ responses: { 200: { description, content }, ...refused } });
const object = { type: "object" };

/** The service's description, OpenAPI 3.1. Requests are described by the schemas that check them. */
export function openApiOf(): object {
  const requestOf = (schema: z.ZodType): object => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
    return rest;
  };
  const region = requestOf(regionSchema) as { properties: Record<string, object> };
  const form = { ...region, properties: { ...region.properties, image: { type: "string", contentMediaType: "image/*" } } };
  return {
    openapi: "3.1.0",
    info: { title: "sd-rpn", version, description: "Answers questions about pictures, with the region that they were read in." },
    security: [{ key: [] }, {}],
    paths: {
      "/v1/chat/completions": {
        post: {
          operationId: "createChatCompletion",
          summary: "The answer to a question about pictures; with `stream` in pieces",
          requestBody: { required: true, content: json(ref("ChatRequest")) },
          ...answered("the answer", { ...json(ref("ChatCompletion")), "text/event-stream": { schema: { type: "string" } } }),
        },
      },
      "/v1/sd-rpn/roi": {
        post: {
          operationId: "predictRegion",
          summary: "Where the answer can be read, without answering",
          requestBody: { required: true, content: { ...json(ref("RegionRequest")), "multipart/form-data": { schema: form } } },
          ...answered("the region", json(object)),
        },
      },
      "/v1/models": { get: { operationId: "listModels", summary: "The model", ...answered("a list of one", json(object)) } },
      "/v1/models/{id}": {
        get: { operationId: "getModel", summary: "The model", parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }], ...answered("the model", json(object)) },
      },
      "/health": { get: { operationId: "health", security: [], summary: "ready, loading or draining", responses: { 200: { description: "ready", content: json(object) }, 503: { description: "loading or draining", content: json(object) } } } },
      "/metrics": { get: { operationId: "metrics", summary: "For Prometheus", ...answered("metrics", { "text/plain": { schema: { type: "string" } } }) } },
      "/openapi.json": { get: { operationId: "openapi", security: [], summary: "This document", responses: { 200: { description: "this document", content: json(object) } } } },
    },
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
      schemas: { Error: error, ChatRequest: requestOf(chatSchema), RegionRequest: region, ChatCompletion: completion },
    },
  };
}

const number = { type: "number" };
const four = { type: "array", items: number, minItems: 4, maxItems: 4 };
const annotation = {
  type: "object",
  required: ["type", "image_region"],
  properties: {
    type: { const: "image_region" },
    image_region: {
      type: "object",
      required: ["image_index", "box", "box_px", "score", "used"],
      properties: { image_index: { type: "integer" }, box: four, box_px: four, score: { type: ["number", "null"] }, used: { type: "boolean" } },
    },
  },
};
const message = { type: "object", required: ["role", "content", "annotations"], properties: { role: { const: "assistant" }, content: { type: "string" }, refusal: { type: "null" }, annotations: { type: "array", items: annotation } } };
const choice = { type: "object", required: ["index", "message", "finish_reason"], properties: { index: { type: "integer" }, message, logprobs: { type: ["object", "null"] }, finish_reason: { enum: ["stop", "length"] } } };
const completion = {
  type: "object",
  required: ["id", "object", "created", "model", "choices", "usage", "sd_rpn"],
  properties: { id: { type: "string" }, object: { const: "chat.completion" }, created: { type: "integer" }, model: { type: "string" }, choices: { type: "array", items: choice }, usage: { type: "object" }, sd_rpn: { type: "object" } },
};
