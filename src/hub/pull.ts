import { mkdir, rename, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { throwIfAborted } from "../base/abort.js";
import { SdRpnError } from "../base/errors.js";
import { abortSignal, callback } from "../base/schemas.js";
import { linkSignals } from "../base/signals.js";
import { parseOptions } from "../base/validate.js";
import { cacheFolder, partialPath, readRecord, repositoryFolder, writeMark, writeRecord } from "./cache.js";
import { HubClient, PATIENCE, type Patience } from "./client.js";
import { download, hasContents } from "./download.js";
import { type Endpoint, endpointOf, hubUrl } from "./endpoint.js";
import { type HubFile, listFiles } from "./listing.js";
import { withLock } from "./lock.js";
import { type HubName, parseHubName } from "./name.js";
import { selectFiles } from "./select.js";

const pullSchema = z.strictObject({ onProgress: callback<(progress: PullProgress) => void>(), signal: abortSignal });

/** Options of `pull`. */
export interface PullOptions {
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

export interface PullProgress {
  /** the one that is being fetched */
  file: string;
  /** bytes of all files together that are there, and that there will be */
  received: number;
  size: number;
}

export interface PullResult {
  /** of the repository in the cache */
  folder: string;
  /** of the repository, from which all files are */
  commit: string;
  /** absolute paths; `fetched`: whether it was fetched now, and not there before */
  files: { path: string; size: number; fetched: boolean }[];
  /** mmproj files and networks of which there are several: none of them was fetched, name one */
  undecided: string[];
}

/** Where models come from and go to, and how long to wait; the environment says the first two. */
export interface Hub {
  endpoint: Endpoint;
  cache: string;
  patience: Patience;
}

export function hubOf(env: NodeJS.ProcessEnv): Hub {
  return { endpoint: endpointOf(env), cache: cacheFolder(env), patience: PATIENCE };
}

/**
 * Fetches a model from a hub (huggingface.co, or HF_ENDPOINT) into the cache: its language model, mmproj file and region proposal network, or the
 * file that is named (docs/models.md). What is there already, with the hash that the hub lists, is not fetched again; what was cut off goes on.
 * All files are of one commit, and each appears under its name when its size and SHA-256 are right.
 *
 * @param name "owner/name", "owner/name:file", "owner/name@revision:file"; "hf:" may stand before it
 * @throws {SdRpnError} INVALID_ARGUMENT for a name that is none, or means several models (the message has their names); DOWNLOAD_FAILED; IO_ERROR
 *   (a full disk: told before, as far as sizes tell); ABORTED
 */
export async function pull(name: string, options: PullOptions = {}): Promise<PullResult> {
  const checked = parseOptions(pullSchema, options);
  const parsed = parseHubName(parseOptions(z.string(), name, "name"), "name");
  return pullFrom(hubOf(process.env), parsed, checked);
}

export async function pullFrom(hub: Hub, name: HubName, { onProgress, signal: outer }: PullOptions): Promise<PullResult> {
  throwIfAborted(outer);
  // an error of the caller's own ends the work, and is what the call rejects with
  const broken = new AbortController();
  const { signal, release } = linkSignals(outer, broken.signal);
  const report = (progress: PullProgress): void => {
    try {
      onProgress?.(progress);
    } catch (error) {
      broken.abort(error);
    }
  };
  try {
    const result = await pullAll(hub, name, report, signal);
    throwIfAborted(broken.signal);
    return result;
  } catch (error) {
    throw broken.signal.aborted ? broken.signal.reason : error;
  } finally {
    release();
  }
}

async function pullAll({ endpoint, cache, patience }: Hub, name: HubName, onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<PullResult> {
  const client = new HubClient(endpoint, signal, patience);
  const { commit, files: all } = await listFiles(client, endpoint, name);
  const { files, complete, undecided } = selectFiles(name, all, endpoint.url.host);
  const folder = repositoryFolder(cache, endpoint, name);
  await io(folder, mkdir(folder, { recursive: true }));
  await checkSpace(folder, files);

  const size = files.reduce((sum, file) => sum + file.size, 0);
  let before = 0;
  const result: PullResult = { folder, commit, files: [], undecided };
  for (const file of files) {
    const report = (bytes: number): void => onProgress({ file: file.path, received: before + bytes, size });
    const url = hubUrl(endpoint, name.owner, name.name, "resolve", commit, ...file.path.split("/"));
    const fetched = await fetchFile(client, url, folder, file, commit, report, signal);
    before += file.size;
    report(0);
    result.files.push({ path: join(folder, ...file.path.split("/")), size: file.size, fetched });
  }
  if (complete) {
    await io(folder, writeMark(folder, files.map(({ path }) => path)));
  }
  return result;
}

/** Whether it was fetched, and not there before. */
async function fetchFile(client: HubClient, url: URL, folder: string, file: HubFile, commit: string, report: (bytes: number) => void, signal?: AbortSignal): Promise<boolean> {
  const path = join(folder, ...file.path.split("/"));
  const partial = partialPath(folder, file.path);
  await io(folder, Promise.all([mkdir(dirname(path), { recursive: true }), mkdir(dirname(partial), { recursive: true })]));
  const locked = withLock(`${partial}.lock`, signal, async () => {
    if (await isThere(folder, path, file, commit, signal)) {
      return false;
    }
    await download(client, url, file, partial, report, signal);
    try {
      await rename(partial, path);
    } catch (error) {
      // a process that took the lock over at the same time may have been first
      if (!(await isThere(folder, path, file, commit, signal))) {
        return io<never>(path, Promise.reject(error as Error));
      }
    }
    await io(path, writeRecord(folder, file.path, { commit, hash: file.hash.value, size: file.size }));
    return true;
  });
  return io(partial, locked);
}

async function isThere(folder: string, path: string, file: HubFile, commit: string, signal?: AbortSignal): Promise<boolean> {
  const size = await stat(path).then((stats) => stats.size, () => undefined);
  if (size !== file.size) {
    return false;
  }
  const record = await readRecord(folder, file.path);
  // a file whose record is another one's or missing, as a kill may leave it, is looked at itself
  if (record?.hash !== file.hash.value && !(await hasContents(path, file, signal))) {
    return false;
  }
  if (record?.commit !== commit || record.hash !== file.hash.value) {
    await io(path, writeRecord(folder, file.path, { commit, hash: file.hash.value, size: file.size }));
  }
  return true;
}

/** @throws {SdRpnError} IO_ERROR where what is missing does not fit the disk */
async function checkSpace(folder: string, files: readonly HubFile[]): Promise<void> {
  let needed = 0;
  for (const file of files) {
    const there = await Promise.all([join(folder, ...file.path.split("/")), partialPath(folder, file.path)].map((path) => stat(path).then(({ size }) => size, () => 0)));
    needed += there[0] === file.size ? 0 : Math.max(0, file.size - there[1]);
  }
  const { bavail, bsize, blocks } = await io(folder, statfs(folder));
  if (blocks > 0 && needed > bavail * bsize) { // some file systems do not say
    const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
    throw new SdRpnError("IO_ERROR", `Expected ${gb(needed)} of space in ${folder} but there are ${gb(bavail * bsize)}: make room, or set SD_RPN_CACHE to a folder on another disk`);
  }
}

async function io<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof SdRpnError) {
      throw error;
    }
    throw new SdRpnError("IO_ERROR", `Cannot keep ${path}: ${(error as Error).message}`, { cause: error });
  }
}
