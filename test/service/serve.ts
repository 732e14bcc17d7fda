import { readFileSync } from "node:fs";
import { serve } from "../../src/server/serve";
import type { ServedModel, ServeOptions } from "../../src/server/options";
import { demoQuestions } from "../helpers/demo";

/** A service in this process, on a real socket, with the demo model. */
export interface Served {
  url: string;
  /** lines of its log */
  log: Record<string, unknown>[];
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply>;
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  /** begins to drain; resolves when it has ended */
  end(): Promise<void>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what comes from a socket is looked at field by field
export type Parsed = any;

export interface Reply {
  status: number;
  headers: Headers;
  body: Parsed;
}

export async function startService(options: ServeOptions = {}, load: ServedModel = {}, { ready = true } = {}): Promise<Served> {
  const controller = new AbortController();
  const log: Record<string, unknown>[] = [];
  let running!: Promise<void>;
  const url = await new Promise<string>((resolve, reject) => {
    const logTo = { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) };
    running = serve({ port: 0, logTo, ...options, onListening: resolve, signal: controller.signal }, load);
    running.catch(reject);
  });
  const ask = async (path: string, init: RequestInit): Promise<Reply> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  const served: Served = {
    url,
    log,
    post: (path, body, headers) => ask(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } }),
    get: (path, headers) => ask(path, { headers }),
    end: () => {
      controller.abort();
      return running;
    },
  };
  for (;;) {
    if (!ready || (await served.get("/health")).status === 200) {
      return served;
    }
    await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 20))]);
  }
}

const questions = demoQuestions();
export const [first] = questions;

export function dataUri(file: string, type = "image/jpeg"): string {
  return `data:${type};base64,${readFileSync(file).toString("base64")}`;
}

/** A user's message about pictures. */
export function about(images: string[], text: string, detail?: string) {
  return { role: "user", content: [{ type: "text", text }, ...images.map((url) => ({ type: "image_url", image_url: { url, ...(detail && { detail }) } }))] };
}

/** The events of a stream, parsed; "[DONE]" as it is. */
export function eventsOf(text: string): Parsed[] {
  return text.split("\n\n").filter(Boolean).map((line) => {
    const data = line.replace(/^data: /, "");
    return data === "[DONE]" ? data : JSON.parse(data);
  });
}

