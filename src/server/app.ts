import multipart from "@fastify/multipart";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { addChat } from "./chat/route.js";
import { httpError, ServiceError } from "./http-error.js";
import { keyCheck } from "./keys.js";
import { Metrics } from "./metrics.js";
import { checkOrigin } from "./origins.js";
import { addPage } from "./page-routes.js";
import { addRegion } from "./region-route.js";
import type { Service } from "./service.js";
import { addStatus } from "./status-routes.js";

/** Milliseconds that a client may take to send a request, headers first: longer ones hold a connection for nothing. */
const REQUEST_MS = 60_000;
const HEADERS_MS = 15_000;

/** Fields of a form beside its picture. */
const FORM = { files: 1, fields: 20, fieldSize: 64 * 1024, headerPairs: 20 };

/** The service's routes, ready to listen. */
export function createApp(service: Service): FastifyInstance {
  const { logLevel, logTo, maxBody, keys, cors } = service.options;
  const app = Fastify({
    bodyLimit: maxBody,
    logController: new LogController({ disableRequestLogging: true }), // its lines have URLs; ours are below
    logger: { level: logLevel, ...(logTo && { stream: logTo }) },
    requestTimeout: REQUEST_MS,
    http: { headersTimeout: HEADERS_MS },
    routerOptions: { ignoreTrailingSlash: true },
  });
  const metrics = new Metrics(service);
  const checkKey = keyCheck(keys);
  app.removeContentTypeParser("text/plain"); // which pages of any origin may send
  void app.register(multipart, { limits: { fileSize: maxBody, ...FORM } });

  app.decorateRequest("told", null as never);
  app.addHook("onRequest", async (request, reply) => {
    request.told = {};
    reply.raw.once("close", () => account(request, reply)); // onResponse is not called for a client that has left
    if (checkOrigin(request, reply, cors)) {
      return reply;
    }
    if (!request.routeOptions.config.open) {
      checkKey(request.headers.authorization);
    }
  });

  const account = (request: FastifyRequest, reply: FastifyReply): void => {
    const route = request.routeOptions.url ?? "unknown";
    const left = !reply.raw.writableFinished;
    const status = left ? 499 : reply.statusCode;
    metrics.answered(route, status, reply.elapsedTime);
    if (route !== "/health" && route !== "/metrics") {
      const { told, method } = request;
      request.log.info({ method, route, status, ms: Math.round(reply.elapsedTime), ...told, ...(left && { code: "CLIENT_LEFT" }) }, "answered");
    }
  };

  app.setErrorHandler((error, request, reply) => {
    const { status, body, retryAfter } = httpError(error);
    request.told ??= {};
    request.told.code = body.error.code;
    if (status === 500) {
      request.log.error({ err: error }, "failed");
    }
    if (retryAfter !== undefined) reply.header("retry-after", retryAfter);
    if (status === 401) reply.header("www-authenticate", "Bearer");
    if (service.state === "draining") reply.header("connection", "close");
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((request) => {
    throw new ServiceError(404, "NOT_FOUND", `There is no ${request.method} ${request.url.split("?")[0].slice(0, 100)}: /openapi.json says what there is`);
  });

  app.register(async (routes) => {
    addChat(routes, service, metrics);
    addRegion(routes, service, metrics);
    addStatus(routes, service, metrics);
    addPage(routes);
  });
  return app;
}
