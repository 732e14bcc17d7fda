import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { SdRpnError } from "../base/errors.js";
import { throwIfAborted } from "../base/abort.js";
import { openRegularFile } from "../base/regular-file.js";
import { brokeOff, failed, type HubClient } from "./client.js";
import type { HubFile } from "./listing.js";

/**
 * Fetches a file to `partial`, from where an earlier attempt was cut off, and checks size and hash. What is there of it stays when
 * this fails, for the next attempt, unless it turned out to be wrong.
 *
 * @param onBytes receives how many bytes are there
 * @throws {SdRpnError} DOWNLOAD_FAILED, IO_ERROR, ABORTED
 */
export async function download(client: HubClient, url: URL, file: HubFile, partial: string, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
  await using handle = await io(partial, openRegularFile(partial, "update"));
  const target = new Target(handle, partial, file, onBytes);
  await target.take(signal);
  const resumed = target.length > 0;
  await fetchRest(client, url, target);
  if (!target.isRight() && resumed) {
    await target.restart(); // what was left of an earlier attempt may have been of no use
    await fetchRest(client, url, target);
  }
  if (!target.isRight()) {
    await target.restart();
    throw failed(`${file.path} is not what ${url.host} promised: its ${file.hash.kind === "sha256" ? "SHA-256" : "git hash"} is another; it was removed`);
  }
  await io(partial, handle.datasync());
}

/** A file that grows, and its hash. */
class Target {
  length = 0;
  private hash: Hash;

  constructor(
    private readonly handle: FileHandle,
    private readonly path: string,
    readonly file: HubFile,
    private readonly onBytes: (bytes: number) => void,
  ) {
    this.hash = hashOf(file);
  }

  /** Goes on from what is there. */
  async take(signal: AbortSignal | undefined): Promise<void> {
    const { size } = await io(this.path, this.handle.stat());
    if (size > this.file.size) {
      return this.restart();
    }
    const buffer = Buffer.allocUnsafe(1 << 20);
    while (this.length < size) {
      throwIfAborted(signal);
      const { bytesRead } = await io(this.path, this.handle.read(buffer, 0, buffer.length, this.length));
      if (bytesRead === 0) {
        break;
      }
      this.hash.update(buffer.subarray(0, bytesRead));
      this.length += bytesRead;
    }
    this.onBytes(this.length);
  }

  async restart(): Promise<void> {
    await io(this.path, this.handle.truncate(0));
    this.length = 0;
    this.hash = hashOf(this.file);
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.length + chunk.length > this.file.size) {
      await this.restart();
      throw failed(`${this.file.path} is longer than the ${this.file.size} bytes that the hub promised`);
    }
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await io(this.path, this.handle.write(chunk, from, chunk.length - from, this.length + from));
      from += bytesWritten;
    }
    this.hash.update(chunk);
    this.length += chunk.length;
    this.onBytes(this.length);
  }

  isRight(): boolean {
    return this.length === this.file.size && this.hash.copy().digest("hex") === this.file.hash.value;
  }
}

async function fetchRest(client: HubClient, url: URL, target: Target): Promise<void> {
  let last = target.length;
  const progress = (): boolean => {
    const more = target.length > last;
    last = target.length;
    return more;
  };
  const headers = (): Record<string, string> => (target.length > 0 ? { range: `bytes=${target.length}-` } : {});
  while (target.length < target.file.size) {
    await client.read(url, headers, (response, alive) => receive(response, target, url, alive), progress);
  }
}

async function receive(response: Response, target: Target, url: URL, alive: () => void): Promise<void> {
  if (response.status === 416) {
    await target.restart();
    throw brokeOff("does not have the rest of the file");
  }
  if (response.status === 206) {
    const [, from] = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(response.headers.get("content-range") ?? "") ?? [];
    if (Number(from) !== target.length) {
      throw failed(`${url.host} sends another part of ${target.file.path} than it was asked for`);
    }
  } else if (target.length > 0) {
    await target.restart(); // the whole file, since the server knows no ranges
  }
  if ((response.headers.get("content-encoding") ?? "identity") !== "identity") {
    throw failed(`${url.host} sends ${target.file.path} compressed, though it was asked not to`);
  }
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    alive();
    await target.write(chunk);
  }
  if (target.length < target.file.size) {
    throw brokeOff("ended within the file");
  }
}

/** Whether a file has the contents that a hub lists. */
export async function hasContents(path: string, file: HubFile, signal?: AbortSignal): Promise<boolean> {
  await using handle = await io(path, openRegularFile(path, "read"));
  const target = new Target(handle, path, file, () => {});
  const { size } = await handle.stat();
  if (size !== file.size) {
    return false;
  }
  await target.take(signal);
  return target.isRight();
}

/** Git's hash of a blob begins with its kind and size. */
function hashOf({ hash: { kind }, size }: HubFile): Hash {
  return kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

async function io<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot keep ${path}: ${(error as Error).message}; what was fetched stays, and repeating the call goes on from there`, { cause: error });
  }
}
