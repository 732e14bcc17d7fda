import type { Multipart } from "@fastify/multipart";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { FieldError, ServiceError } from "./http-error.js";
import type { Metrics } from "./metrics.js";
import { overlayUri } from "./overlay.js";
import { pictureOfUrl } from "./picture/picture-of-url.js";
import { parseForm, parseRegion, type RegionRequest } from "./region-request.js";
import { mapOf, regionsOf } from "./regions.js";
import type { Service } from "./service.js";
import { tellRegion } from "./told.js";

interface Asked {
  picture: string | Buffer;
  asked: RegionRequest;
}

/** `POST /v1/sd-rpn/roi`: where the answer can be read, without decoding one. */
export function addRegion(app: FastifyInstance, service: Service, metrics: Metrics): void {
  app.post("/v1/sd-rpn/roi", async (request, reply) => {
    const { model } = service;
    const call = service.begin(reply.raw);
    try {
      const { picture, asked } = request.isMultipart() ? await readForm(request) : await readJson(request, service, call.signal);
      const { question, map, overlay, model: name, ...options } = asked;
      if (name !== undefined && name !== service.name) {
        throw new FieldError("model", `Expected ${service.name} for model, which is the one that this service has`, "MODEL_NOT_FOUND");
      }
      Object.assign(request.told, { pictures: 1, ...(service.options.logQuestions && { question }) });
      const roi = await model.predictRoI(picture, question, { ...options, signal: call.signal });
      tellRegion(request.told, metrics, roi);
      const { found, region, gate, view, image, hints, timings, boxes, boxesNormalized } = roi;
      return {
        object: "sd_rpn.roi",
        model: service.name,
        annotations: regionsOf(roi, false, 0),
        found,
        method: roi.method,
        boxes,
        boxes_normalized: boxesNormalized,
        region,
        gate,
        view,
        image,
        hints,
        timings,
        ...(map && { map: mapOf(roi) }),
        ...(overlay && { overlay: await overlayUri(model, picture, roi, options) }),
      };
    } finally {
      call.end();
    }
  });
}

async function readJson({ body }: FastifyRequest, service: Service, signal: AbortSignal): Promise<Asked> {
  const { image, asked } = parseRegion(body);
  return { picture: await pictureOfUrl(image, service.pictures, signal), asked };
}

/** A form has the picture as a file of the name `image`. */
async function readForm(request: FastifyRequest): Promise<Asked> {
  const fields: [string, string][] = [];
  let picture: Buffer | undefined;
  for await (const part of partsOf(request)) {
    if (part.type === "field") {
      fields.push([part.fieldname, String(part.value)]);
    } else if (part.fieldname === "image" && picture === undefined) {
      picture = await part.toBuffer();
    } else {
      throw new ServiceError(400, "BODY_INVALID", `Expected one file, of the name image, in the form but received one of the name ${part.fieldname.slice(0, 100)}`);
    }
  }
  if (!picture) {
    throw new ServiceError(400, "BODY_INVALID", "Expected a file of the name image in the form");
  }
  return { picture, asked: parseForm(fields) };
}

/** @throws {ServiceError} for a form that is cut or malformed, of which the reader says no status */
async function* partsOf(request: FastifyRequest): AsyncGenerator<Multipart, void, undefined> {
  try {
    yield* request.parts();
  } catch (error) {
    throw error instanceof Error && !("statusCode" in error) ? new ServiceError(400, "BODY_INVALID", `The form cannot be read: ${error.message}`) : error;
  }
}
