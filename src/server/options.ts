import { z } from "zod";
import { abortSignal as signal, callback, pathSchema } from "../base/schemas.js";
import type { LoadOptions } from "../model/load-options.js";

const MIB = 1024 * 1024;

/** A name that a picture's URL may have: without scheme, port and path. */
const host = z
  .string()
  .regex(/^[a-z0-9.-]+$/i)
  .transform((name) => name.toLowerCase())
  .describe("name of a host, without scheme and port");

/** An origin as browsers send it, or * for all. */
const origin = z
  .string()
  .refine((text) => text === "*" || /^https?:\/\/[^/]+$/.test(text))
  .describe('origin such as "https://example.org", or "*"');

export const serveSchema = z.strictObject({
  host: z.string().min(1).default("127.0.0.1"),
  port: z.int().min(0).max(65535).default(8080),
  name: z.string().min(1).optional(),
  keys: z.array(z.string().min(1)).default([]),
  maxBody: z.int().min(1024).max(1024 * MIB).default(32 * MIB),
  timeout: z.number().gt(0).max(86400).default(120),
  grace: z.number().min(0).max(86400).default(30),
  mediaPath: pathSchema.optional(),
  allowHosts: z.array(host).default([]),
  cors: z.array(origin).default([]),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  logQuestions: z.boolean().default(false),
  logTo: z.custom<{ write(line: string): void }>((value) => typeof value === "object" && value !== null && "write" in value).optional(),
  onListening: callback<(url: string) => void>(),
  signal,
});

/** Options of {@link serve}, beside those of the model. */
export interface ServeOptions {
  /** address to listen on; default 127.0.0.1: this machine alone */
  host?: string;
  /** default 8080; 0: any that is free */
  port?: number;
  /** the model's name for clients; default: its file's, without the ending */
  name?: string;
  /** API keys, of which a client has to send one; default: none is asked for */
  keys?: string[];
  /** bytes of a request, and of a picture that is fetched; default 32 MiB */
  maxBody?: number;
  /** seconds that a question may take, waiting included; default 120 */
  timeout?: number;
  /** seconds that calls under way have to end after `signal`; default 30 */
  grace?: number;
  /** folder below which `file:` URLs may name pictures; default: none */
  mediaPath?: string;
  /** hosts from which pictures are fetched by http and https; default: none */
  allowHosts?: string[];
  /** origins whose pages may ask; default: only the service's own */
  cors?: string[];
  logLevel?: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** whether questions and answers are logged; default false */
  logQuestions?: boolean;
  /** receives log lines; default standard output */
  logTo?: { write(line: string): void };
  onListening?: (url: string) => void;
  /** ends the service: it drains, and closes */
  signal?: AbortSignal;
}

export type CheckedServeOptions = z.output<typeof serveSchema>;

/** What the service gives on to `loadModel`. */
export type ServedModel = Omit<LoadOptions, "signal">;
