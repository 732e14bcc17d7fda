import type { FastifyInstance } from "fastify";
import { FieldError } from "./http-error.js";
import type { Metrics } from "./metrics.js";
import { openApiOf } from "./openapi.js";
import type { Service } from "./service.js";

/** What is there, and how it is doing. */
export function addStatus(app: FastifyInstance, service: Service, metrics: Metrics): void {
  app.get("/health", { config: { open: true } }, (_, reply) => {
    const { state, underWay } = service;
    return reply.code(state === "ready" ? 200 : 503).header("cache-control", "no-store").send({ status: state, under_way: underWay });
  });

  app.get("/v1/models", () => ({ object: "list", data: [describe(service)] }));

  app.get<{ Params: { id: string } }>("/v1/models/:id", ({ params }) => {
    const described = describe(service);
    if (params.id !== described.id) {
      throw new FieldError("model", `Expected ${described.id}, which is the model that this service has, but received ${params.id.slice(0, 100)}`, "MODEL_NOT_FOUND");
    }
    return described;
  });

  app.get("/metrics", async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));

  const document = openApiOf();
  app.get("/openapi.json", { config: { open: true } }, () => document);
}

function describe(service: Service) {
  const { info } = service.model;
  return {
    id: service.name,
    object: "model",
    created: service.created,
    owned_by: "sd-rpn",
    input_modalities: ["text", "image"],
    output_modalities: ["text"],
    context_length: info.contextSize,
    sd_rpn: { architecture: info.architecture, family: info.family, region_network: info.rpn !== null, image_tokens: { min: info.imageTokensMin, max: info.imageTokens }, backend: info.backend, version: info.versions.sdRpn },
  };
}
