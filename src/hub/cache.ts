import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { readTextFile, replaceFile } from "../base/regular-file.js";
import type { Endpoint } from "./endpoint.js";
import type { HubName } from "./name.js";

/**
 * The folder of fetched models: SD_RPN_CACHE, or a folder `sd-rpn` where the system keeps caches: XDG_CACHE_HOME, ~/.cache,
 * ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows. As the XDG specification has it, an XDG_CACHE_HOME that is not absolute does not count.
 */
export function cacheFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string {
  const { SD_RPN_CACHE: own, XDG_CACHE_HOME: xdg, LOCALAPPDATA: windows } = env;
  if (own) {
    return resolve(own);
  }
  if (xdg && isAbsolute(xdg)) {
    return join(xdg, "sd-rpn");
  }
  if (platform === "win32" && windows) {
    return join(windows, "sd-rpn", "cache");
  }
  return platform === "darwin" ? join(homedir(), "Library", "Caches", "sd-rpn") : join(homedir(), ".cache", "sd-rpn");
}

/** Where the files of a repository lie, under their own paths; those of a revision other than main apart from the others. */
export function repositoryFolder(cache: string, { url }: Endpoint, { owner, name, revision }: HubName): string {
  const host = `${url.host}${url.pathname}`.replace(/\/+$/, "").replaceAll(/[^A-Za-z0-9.-]+/g, "_");
  return join(cache, host, owner, revision === "main" ? name : `${name}@${encodeURIComponent(revision)}`);
}

/** Beside the files there is a folder about them; its name hides it. */
const ABOUT = ".sd-rpn";

/** What is there of a file that is being fetched. */
export function partialPath(folder: string, file: string): string {
  return join(folder, ABOUT, `${file}.partial`);
}

const recordSchema = z.object({ commit: z.string(), hash: z.string(), size: z.number() });

/** What was fetched: the commit that it was listed in, its hash there, its size. */
export type FileRecord = z.output<typeof recordSchema>;

function recordPath(folder: string, file: string): string {
  return join(folder, ABOUT, `${file}.json`);
}

/** undefined where there is none that can be read: then the file counts as not fetched */
export async function readRecord(folder: string, file: string): Promise<FileRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readTextFile(recordPath(folder, file))));
  } catch {
    return undefined;
  }
}

export async function writeRecord(folder: string, file: string, record: FileRecord): Promise<void> {
  await replaceFile(recordPath(folder, file), `${JSON.stringify(record)}\n`);
}

const markSchema = z.object({ files: z.array(z.string()).min(1) });

/** Notes that all that a model of the repository needs was fetched: these files. */
export async function writeMark(folder: string, files: readonly string[]): Promise<void> {
  await replaceFile(join(folder, ABOUT, "fetched"), `${JSON.stringify({ files })}\n`);
}

/** Whether that was noted, and all of them are still there. */
export async function isWhole(folder: string): Promise<boolean> {
  try {
    const { files } = markSchema.parse(JSON.parse(await readTextFile(join(folder, ABOUT, "fetched"))));
    return (await Promise.all(files.map((file) => isFile(join(folder, ...file.split("/")))))).every(Boolean);
  } catch {
    return false;
  }
}

export function isFile(path: string): Promise<boolean> {
  return stat(path).then((stats) => stats.isFile(), () => false);
}
