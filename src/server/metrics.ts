import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Timings, Usage } from "../base/types.js";
import { engineOf } from "../model/engine-of.js";
import type { Service } from "./service.js";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const PHASES = ["decode", "vision", "prefill", "rpn", "crop", "generate", "total"] as const satisfies readonly (keyof Timings)[];

/** What `/metrics` tells, in the form of Prometheus. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly registers = [this.registry];
  private readonly requests = new Counter({ name: "sd_rpn_requests_total", help: "answered requests", labelNames: ["route", "status"], registers: this.registers });
  private readonly seconds = new Histogram({ name: "sd_rpn_request_seconds", help: "from a request to the end of its answer", labelNames: ["route"], buckets: SECONDS, registers: this.registers });
  private readonly phases = new Histogram({ name: "sd_rpn_phase_seconds", help: "time of a question in each phase; total includes waiting", labelNames: ["phase"], buckets: SECONDS, registers: this.registers });
  private readonly tokens = new Counter({ name: "sd_rpn_tokens_total", help: "tokens of prompts (of them: of pictures, of second looks, reused) and of answers", labelNames: ["kind"], registers: this.registers });
  private readonly looks = new Counter({ name: "sd_rpn_answers_total", help: "answers, by whether they had a second look", labelNames: ["second_look"], registers: this.registers });

  constructor(service: Service) {
    this.gauge("sd_rpn_requests_under_way", "questions that wait or are being answered", () => service.underWay);
    this.ofModel(service, "sd_rpn_calls_running", "calls of the model that run", (engine) => engine.calls.load.running);
    this.ofModel(service, "sd_rpn_calls_waiting", "calls of the model that wait for their turn", (engine) => engine.calls.load.waiting);
    this.ofModel(service, "sd_rpn_sessions", "pictures whose state is kept", (engine) => engine.cache.load.sessions);
    this.ofModel(service, "sd_rpn_session_bytes", "memory of their state", (engine) => engine.cache.load.bytes);
    this.ofModel(service, "sd_rpn_session_evictions", "states of pictures that made room for others, since the start", (engine) => engine.cache.load.evictions);
    this.gauge("process_resident_memory_bytes", "memory of the process", () => process.memoryUsage.rss());
    this.gauge("nodejs_heap_used_bytes", "of it JavaScript's", () => process.memoryUsage().heapUsed);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  answered(route: string, status: number, ms: number): void {
    this.requests.inc({ route, status });
    this.seconds.observe({ route }, ms / 1000);
  }

  timed(timings: Timings): void {
    PHASES.forEach((phase) => this.phases.observe({ phase }, timings[phase] / 1000));
  }

  used(usage: Usage, secondLook: boolean): void {
    const kinds = { prompt: usage.promptTokens, image: usage.imageTokens, second_look: usage.roiTokens, reused: usage.reusedTokens, completion: usage.completionTokens };
    Object.entries(kinds).forEach(([kind, count]) => this.tokens.inc({ kind }, count));
    this.looks.inc({ second_look: String(secondLook) });
  }

  private gauge(name: string, help: string, read: () => number): void {
    new Gauge({ name, help, registers: this.registers, collect() { this.set(read()); } });
  }

  private ofModel(service: Service, name: string, help: string, read: (engine: ReturnType<typeof engineOf>) => number): void {
    this.gauge(name, help, () => {
      const model = service.modelIfLoaded;
      return model && !service.closed ? read(engineOf(model)) : 0;
    });
  }
}
