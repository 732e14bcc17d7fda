import { setTimeout as sleep } from "node:timers/promises";
import { abortError, SdRpnError } from "../base/errors.js";
import { throwIfAborted } from "../base/abort.js";
import { linkSignals } from "../base/signals.js";
import { version } from "../base/version.js";
import { type Endpoint, isAllowed } from "./endpoint.js";

const MOST_REDIRECTS = 8;
const LONGEST_WAIT_MS = 60_000;

/** How long a hub is waited for. */
export interface Patience {
  /** without a byte, of the answer or of its head */
  stallMs: number;
  /** before the second attempt; doubles from one to the next */
  waitMs: number;
  /** that may fail in a row */
  attempts: number;
}

export const PATIENCE: Patience = { stallMs: 30_000, waitMs: 1000, attempts: 5 };

/** What may go better when it is tried again. */
class Hiccup extends Error {
  constructor(
    message: string,
    /** milliseconds that the hub asks to wait */
    readonly waitMs?: number,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** Reads from one hub over HTTP: follows it to where files lie, and tries again what fails for a while. */
export class HubClient {
  constructor(
    private readonly endpoint: Endpoint,
    private readonly signal: AbortSignal | undefined,
    private readonly patience: Patience = PATIENCE,
  ) {}

  /**
   * Requests `url` until `use` has read the answer to its end.
   *
   * @param headers of each attempt
   * @param use may be called again with another answer, after an attempt that broke off; `alive` is to be called for every piece that comes
   * @param progress whether there was any since the last attempt: then the failures before do not count
   * @throws {SdRpnError} DOWNLOAD_FAILED, ABORTED; what `use` throws as SdRpnError
   */
  async read<T>(url: URL, headers: () => Record<string, string>, use: (response: Response, alive: () => void) => Promise<T>, progress = (): boolean => false): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.attempt(url, headers(), use);
      } catch (error) {
        throwIfAborted(this.signal);
        if (!(error instanceof Hiccup)) {
          throw error;
        }
        if (progress()) {
          failures = 1;
        }
        if (failures >= this.patience.attempts) {
          throw failed(`${url.host} ${error.message}, ${failures} times in a row`, error);
        }
        await this.pause(error.waitMs ?? this.patience.waitMs * 2 ** (failures - 1));
      }
    }
  }

  private async pause(ms: number): Promise<void> {
    try {
      await sleep(Math.min(ms, LONGEST_WAIT_MS), undefined, { signal: this.signal });
    } catch {
      throw abortError(this.signal);
    }
  }

  private async attempt<T>(url: URL, headers: Record<string, string>, use: (response: Response, alive: () => void) => Promise<T>): Promise<T> {
    const stalled = new AbortController();
    const { signal, release } = linkSignals(this.signal, stalled.signal);
    const timer = setTimeout(() => stalled.abort(), this.patience.stallMs);
    const alive = (): void => void timer.refresh();
    let response: Response | undefined;
    try {
      response = await this.follow(url, headers, signal, alive);
      return await use(response, alive);
    } catch (error) {
      if (error instanceof SdRpnError || error instanceof Hiccup) {
        throw error;
      }
      throw stalled.signal.aborted ? new Hiccup(`sent nothing for ${this.patience.stallMs / 1000} s`, undefined, error) : networkError(error);
    } finally {
      clearTimeout(timer);
      stalled.abort(); // ends a body that was not read to its end
      release();
    }
  }

  /** By hand, so that every step is checked, and the token goes to the hub alone. */
  private async follow(from: URL, headers: Record<string, string>, signal: AbortSignal, alive: () => void): Promise<Response> {
    let url = from;
    for (let n = 0; n <= MOST_REDIRECTS; n++) {
      if (!isAllowed(url, this.endpoint.url)) {
        throw failed(`${from.host} leads to ${url.protocol}//${url.host}, which is not https`);
      }
      const { token } = this.endpoint;
      const authorization: Record<string, string> = token !== undefined && url.origin === this.endpoint.url.origin ? { authorization: `Bearer ${token}` } : {};
      const response = await fetch(url, { redirect: "manual", signal, headers: { "user-agent": `sd-rpn/${version}`, "accept-encoding": "identity", ...headers, ...authorization } });
      alive();
      const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
      if (location === null) {
        return checkStatus(response, url);
      }
      await response.body?.cancel();
      try {
        url = new URL(location, url);
      } catch (error) {
        throw failed(`${url.host} leads to what is no URL`, error);
      }
    }
    throw failed(`${from.host} leads from one address to the next, ${MOST_REDIRECTS} times and more`);
  }
}

/** Answers that cannot be used, in words. 416 is left to who asked for a range. */
function checkStatus(response: Response, url: URL): Response {
  const { status } = response;
  if (response.ok || status === 416) {
    return response;
  }
  if (status === 408 || status === 429 || status >= 500) {
    throw new Hiccup(`answers with HTTP status ${status}`, retryAfter(response));
  }
  if (status === 401 || status === 403) {
    throw failed(`${url.host} refuses ${url.pathname} (HTTP status ${status}): there is no such repository, or it needs permission; set HF_TOKEN to a token that may read it`);
  }
  if (status === 404) {
    throw failed(`${url.host} has no ${url.pathname}: check owner, name, revision and file`);
  }
  throw failed(`${url.host} answers with HTTP status ${status} to ${url.pathname}`);
}

/** Seconds, or a date. */
function retryAfter(response: Response): number | undefined {
  const text = response.headers.get("retry-after") ?? "";
  const ms = /^\d{1,6}$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** Of a name that is not known or a certificate that does not hold, the same is true a second later. */
function networkError(error: unknown): Error {
  const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
  const reason = cause?.code ?? cause?.message ?? (error as Error).message;
  if (/ENOTFOUND|CERT|SSL|TLS|UNABLE_TO/.test(reason)) {
    return failed(`The hub cannot be reached: ${cause?.message ?? reason}`, error);
  }
  return new Hiccup(`broke off (${reason})`, undefined, error);
}

export function failed(message: string, cause?: unknown): SdRpnError {
  return new SdRpnError("DOWNLOAD_FAILED", message, { cause });
}

/** For `use`: the answer broke off, so that it is asked for again. */
export function brokeOff(message: string): Error {
  return new Hiccup(message);
}
