import { SdRpnError } from "../base/errors.js";

/** A hub, and what it is asked with. */
export interface Endpoint {
  /** without a slash at its end */
  url: URL;
  token?: string;
}

const DEFAULT = "https://huggingface.co";
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * The hub that the environment names: HF_ENDPOINT, default huggingface.co, and HF_TOKEN.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT for an endpoint that is no URL, or neither https nor this machine
 */
export function endpointOf(env: NodeJS.ProcessEnv): Endpoint {
  const given = env.HF_ENDPOINT || DEFAULT;
  let url: URL;
  try {
    url = new URL(given);
  } catch (error) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected a URL for HF_ENDPOINT but received ${given}`, { cause: error });
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "" || !isAllowed(url, url)) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected an https URL without a password for HF_ENDPOINT (http for this machine only) but received ${url.protocol}//${url.host}`);
  }
  return { url, token: env.HF_TOKEN || undefined };
}

/** Whether a hub, or what it sends us on to, may be asked: over https, and a hub on this machine also over http on this machine. */
export function isAllowed(url: URL, endpoint: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && endpoint.protocol === "http:" && LOCAL.has(url.hostname) && LOCAL.has(endpoint.hostname));
}

/** A URL of the hub; each part of the path is encoded, slashes in it too. */
export function hubUrl({ url }: Endpoint, ...parts: string[]): URL {
  const path = parts.map(encodeURIComponent).join("/");
  return new URL(`${url.href.replace(/\/+$/, "")}/${path}`);
}
