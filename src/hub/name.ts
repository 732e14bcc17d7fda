import { invalidArgument } from "../base/validate.js";

/** What is fetched from a hub, or was. */
export interface HubName {
  owner: string;
  name: string;
  /** branch, tag or commit */
  revision: string;
  /** path of a file in it; undefined: all that a model needs */
  file?: string;
}

const PART = /^[A-Za-z0-9][\w.-]{0,95}$/;
const REVISION = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95}){0,4}$/;
const PREFIX = "hf:";

/** Whether a path is the name of something on a hub: "hf:owner/name". */
export function isHubName(path: string): boolean {
  return path.startsWith(PREFIX);
}

/**
 * "owner/name", "owner/name:file", "owner/name@revision:file", with or without "hf:" before it.
 *
 * @param option what the text was given for
 * @throws {SdRpnError} INVALID_ARGUMENT
 */
export function parseHubName(text: string, option: string): HubName {
  const bare = isHubName(text) ? text.slice(PREFIX.length) : text;
  const colon = bare.indexOf(":");
  const [repository, file] = colon < 0 ? [bare] : [bare.slice(0, colon), bare.slice(colon + 1)];
  const at = repository.indexOf("@");
  const [id, revision] = at < 0 ? [repository, "main"] : [repository.slice(0, at), repository.slice(at + 1)];
  const [owner, name, ...more] = id.split("/");
  const parts = [owner, name ?? ""];
  if (more.length > 0 || !parts.every((part) => PART.test(part) && !part.includes("..")) || !REVISION.test(revision) || revision.includes("..") || (file !== undefined && !isPlainPath(file))) {
    throw invalidArgument('name on a hub, "owner/name", "owner/name:file" or "owner/name@revision:file",', option, text);
  }
  return { owner, name, revision, file };
}

/** As it is written in messages and on the command line. */
export function formatHubName({ owner, name, revision, file }: HubName): string {
  return `${owner}/${name}${revision === "main" ? "" : `@${revision}`}${file === undefined ? "" : `:${file}`}`;
}

/**
 * Whether a path in a repository can be one below a folder here, on any system: servers may say what they like. No part of it is empty, leads
 * upwards, is hidden, or means something else on Windows.
 */
export function isPlainPath(path: string): boolean {
  return path.length <= 512 && path.split("/").every((part) => part.length <= 200 && /^[^\0-\x1f\\:*?"<>|.][^\0-\x1f\\:*?"<>|]*$/.test(part) && !/[. ]$/.test(part));
}
