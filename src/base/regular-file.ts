import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";

/**
 * All files that a caller names are opened here. Opening a named pipe waits for a program at its other end, and so may
 * devices: the wait holds one of libuv's threads, no AbortSignal ends it, and not even `process.exit` does, since the
 * process joins its threads. So whatever is not a regular file is refused, and no call waits for one:
 * - `stat` comes first, because opening alone may have effects: it wakes a pipe's writer and rewinds a tape;
 * - the path may have become something else since, so it is opened without waiting and looked at again.
 */
// O_NONBLOCK changes nothing for files on a disk; Windows has neither flag, nor named pipes in its directories.
const WITHOUT_WAITING = (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** How a file is opened: to be read, written anew, read and appended to, or read and written at any place. The last three make it where it is missing. */
export type OpenMode = "read" | "write" | "append" | "update";

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  append: constants.O_RDWR | constants.O_CREAT | constants.O_APPEND,
  update: constants.O_RDWR | constants.O_CREAT,
};

/**
 * Opens a regular file; symbolic links are followed.
 *
 * @throws {Error} of the system, or one that says what the path names instead; the caller gives it a code
 */
export async function openRegularFile(path: string, mode: OpenMode): Promise<FileHandle> {
  await checkPath(path, mode);
  const handle = await open(path, FLAGS[mode] | WITHOUT_WAITING);
  try {
    checkKind(await handle.stat());
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The whole of a regular file; errors as {@link openRegularFile}. */
export async function readRegularFile(path: string): Promise<Buffer> {
  await using handle = await openRegularFile(path, "read");
  return await handle.readFile();
}

/** The whole of a regular file as text, in UTF-8; errors as {@link openRegularFile}. */
export async function readTextFile(path: string): Promise<string> {
  return (await readRegularFile(path)).toString("utf8");
}

/** As much of `length` bytes from `offset` on as the file has; errors as {@link openRegularFile}. */
export async function readFileRange(path: string, offset: number, length: number): Promise<Buffer> {
  await using handle = await openRegularFile(path, "read");
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) {
      break;
    }
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Writes a regular file anew; errors as {@link openRegularFile}. */
export async function writeRegularFile(path: string, contents: string | Uint8Array): Promise<void> {
  await using handle = await openRegularFile(path, "write");
  await handle.writeFile(contents);
}

/** Writes a whole file that appears complete or not at all, whenever the process is killed; errors as {@link openRegularFile}. */
export async function replaceFile(path: string, contents: string | Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  await writeRegularFile(partial, contents);
  await rename(partial, path);
}

/** Whether a file may be read from, or written to, this path, as far as what is there now tells; errors as {@link openRegularFile}. */
export async function checkPath(path: string, mode: OpenMode): Promise<void> {
  try {
    checkKind(await stat(path));
  } catch (error) {
    if (mode === "read" || (error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw error;
    }
  }
}

/** @throws {Error} that says what it is instead */
export function checkKind(stats: Stats): void {
  if (!stats.isFile()) {
    throw new Error(`it is ${kindOf(stats)}, not a regular file: give the path of a file on a disk`);
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a named pipe (FIFO)";
  if (stats.isSocket()) return "a socket";
  if (stats.isCharacterDevice()) return "a character device";
  return stats.isBlockDevice() ? "a block device" : "of an unknown kind";
}
