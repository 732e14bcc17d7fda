import { randomUUID } from "node:crypto";
import { open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { abortError } from "../base/errors.js";

const POLL_MS = 200;
/** The owner of a lock touches it this often, and one that was not touched for so long has no owner any more. */
const BEAT_MS = 5_000;
const STALE_MS = 60_000;

/**
 * Runs `work` while no other process does with the same lock file: a second one waits, as it would otherwise fetch the same gigabytes
 * again. The lock of a process that was killed is taken over: at once on the same machine, else when it was not touched for a minute.
 *
 * Two processes that take over at the same instant may both hold it; what they write is the same bytes at the same places, so nothing is lost
 * (docs/decisions/112-fetching-models.md).
 *
 * @throws {SdRpnError} ABORTED while it waits; {Error} of the system
 */
export async function withLock<T>(file: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const own = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
  while (!(await create(file, own))) {
    if (await isAbandoned(file)) {
      await rm(file, { force: true });
      continue;
    }
    try {
      await sleep(POLL_MS, undefined, { signal });
    } catch {
      throw abortError(signal);
    }
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => {});
  }, BEAT_MS);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    const held = await readFile(file, "utf8").catch(() => "");
    if (held === own) {
      await rm(file, { force: true });
    }
  }
}

async function create(file: string, contents: string): Promise<boolean> {
  try {
    await using handle = await open(file, "wx");
    await handle.writeFile(contents);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      return false;
    }
    throw error;
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs > STALE_MS) {
      return true;
    }
    const { pid, host } = JSON.parse(await readFile(file, "utf8")) as { pid: number; host: string };
    return host === hostname() && pid !== process.pid && !isRunning(pid);
  } catch {
    return false; // it was removed, or is being written
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // EPERM: it runs, for another user
  }
}
