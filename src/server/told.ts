import type { Answer, RoI } from "../base/types.js";
import type { Metrics } from "./metrics.js";

/** What a request's line in the log says beside its status. */
export interface Told {
  code?: string;
  [field: string]: unknown;
}

declare module "fastify" {
  interface FastifyRequest {
    told: Told;
  }
  interface FastifyContextConfig {
    /** answered without an API key */
    open?: boolean;
  }
}

export function tellAnswer(told: Told, metrics: Metrics, answer: Answer): void {
  const { usage, timings, finishReason, usedRoI } = answer;
  metrics.timed(timings);
  metrics.used(usage, usedRoI);
  Object.assign(told, { finish: finishReason, secondLook: usedRoI, tokens: usage, phases: timings });
}

export function tellRegion(told: Told, metrics: Metrics, { found, timings }: RoI): void {
  metrics.timed(timings);
  Object.assign(told, { found, phases: timings });
}
