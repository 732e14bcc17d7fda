import type { FastifyReply, FastifyRequest } from "fastify";
import { ServiceError } from "./http-error.js";

const METHODS = "GET, POST";
const HEADERS = "authorization, content-type";

/**
 * Lets pages of other origins ask, where their origin was allowed, and refuses them otherwise: a browser would send some of their
 * requests, and only keep the answers from them.
 *
 * @param allowed origins, or "*"
 * @returns whether the request was a preflight, which has been answered
 * @throws {ServiceError} 403
 */
export function checkOrigin({ headers, method }: FastifyRequest, reply: FastifyReply, allowed: readonly string[]): boolean {
  const { origin } = headers;
  if (origin === undefined || isOwn(origin, headers.host)) {
    return false;
  }
  if (!allowed.includes(origin) && !allowed.includes("*")) {
    throw new ServiceError(403, "ORIGIN_REFUSED", `Pages of ${origin.slice(0, 200)} may not ask this service: start it with --cors ${origin.slice(0, 200)} if they should`);
  }
  reply.header("access-control-allow-origin", allowed.includes("*") ? "*" : origin).header("vary", "Origin");
  if (method !== "OPTIONS") {
    return false;
  }
  reply.header("access-control-allow-methods", METHODS).header("access-control-allow-headers", HEADERS).header("access-control-max-age", "600").code(204).send();
  return true;
}

/** Whether a page is one of this service; its scheme may be that of a proxy. */
function isOwn(origin: string, host: string | undefined): boolean {
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase().replace(/:(80|443)$/, "");
}
