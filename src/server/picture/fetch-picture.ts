import { lookup } from "node:dns/promises";
import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import { abortError, SdRpnError } from "../../base/errors.js";
import { isPublicAddress } from "./addresses.js";

type Address = { address: string; family: number };

export interface FetchSettings {
  /** names from which pictures are fetched, in lower case */
  hosts: readonly string[];
  maxBytes: number;
  /** of tests, as names of public addresses lead to no server of theirs */
  resolve?: (name: string) => Promise<Address[]>;
  isAllowed?: (address: string) => boolean;
}

/** How long a server may say nothing. */
const SILENCE_MS = 10_000;

/**
 * Fetches a picture by http or https. Its host must be one that the service's owner has named. The name is resolved once: all
 * addresses must be public, and the connection goes to one of them, whatever the name leads to a moment later. No redirect is followed.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for a URL that is refused, DOWNLOAD_FAILED, IMAGE_TOO_LARGE, ABORTED
 */
export async function fetchPicture(url: URL, settings: FetchSettings, signal?: AbortSignal): Promise<Buffer> {
  const { hosts, resolve = (name) => lookup(name, { all: true }), isAllowed = isPublicAddress } = settings;
  const name = url.hostname.toLowerCase();
  if (!hosts.includes(name)) {
    const how = hosts.length > 0 ? `pictures come from ${hosts.join(", ")}` : "no host was allowed";
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a data URI for image_url but received a URL of ${name}, and ${how}: send the picture itself, or have the service started with --allow-host ${name}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new SdRpnError("INVALID_ARGUMENT", "Expected a URL without user and password for image_url");
  }
  const literal = name.replace(/^\[|\]$/g, "");
  const addresses = isIP(literal) ? [{ address: literal, family: isIP(literal) }] : await resolve(name).catch((cause: unknown) => {
    throw new SdRpnError("DOWNLOAD_FAILED", `The host ${name} of a picture was not found`, { cause });
  });
  if (addresses.length === 0 || !addresses.every(({ address }) => isAllowed(address))) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a picture on the public internet, but ${name} leads to an address that is private, of this machine or reserved`);
  }
  return download(url, addresses[0], settings.maxBytes, signal);
}

function download(url: URL, { address, family }: Address, maxBytes: number, signal?: AbortSignal): Promise<Buffer> {
  // the address that was checked; Node asks for one or for all
  const pinned = (_: string, options: { all?: boolean }, done: (error: null, address: string | Address[], family?: number) => void): void => {
    options.all ? done(null, [{ address, family }]) : done(null, address, family);
  };
  const { get } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const fail = (message: string, code: "DOWNLOAD_FAILED" | "IMAGE_TOO_LARGE" = "DOWNLOAD_FAILED", cause?: unknown): void => {
      request.destroy();
      reject(signal?.aborted ? abortError(signal) : new SdRpnError(code, message, { cause }));
    };
    const options = { lookup: pinned as never, signal, agent: false as const, timeout: SILENCE_MS, headers: { accept: "image/*", "accept-encoding": "identity" } };
    const request = get(url, options, (response) => {
      const { statusCode = 0 } = response;
      if (statusCode !== 200) {
        const why = statusCode >= 300 && statusCode < 400 ? "is redirected, which is not followed" : `could not be fetched: HTTP ${statusCode}`;
        return fail(`A picture of ${url.hostname} ${why}`);
      }
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > maxBytes) fail(`Expected a picture of at most ${maxBytes} bytes but that of ${url.hostname} is larger`, "IMAGE_TOO_LARGE");
        else parts.push(part);
      });
      response.on("end", () => (response.complete ? resolve(Buffer.concat(parts)) : fail(`A picture of ${url.hostname} ended too early`)));
      response.on("error", (error) => fail(`A picture of ${url.hostname} could not be fetched`, "DOWNLOAD_FAILED", error));
    });
    request.on("timeout", () => fail(`The host ${url.hostname} of a picture does not answer`));
    request.on("error", (error) => fail(`A picture of ${url.hostname} could not be fetched`, "DOWNLOAD_FAILED", error));
  });
}
