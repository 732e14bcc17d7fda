import { SdRpnError } from "../base/errors.js";
import { checkPath } from "../base/regular-file.js";

/** Exit codes of the process; those above 2 are 128 plus the number of the signal, as in shells. */
export const EXIT = { ok: 0, error: 1, usage: 2, interrupted: 130, brokenPipe: 141 } as const;

/** The command line does not make sense; the message says what was expected. */
export class UsageError extends Error {}

/** Runs an operation of the file system; its failure becomes IO_ERROR: "Cannot write the overlay". */
export async function withIoError<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot ${doing}: ${(error as Error).message}`, { cause: error });
  }
}

/** Checks before the work, as far as possible, whether the file can be written. `doing`: "write the overlay" */
export async function checkOutput(doing: string, path: string | undefined): Promise<void> {
  if (path !== undefined) {
    await withIoError(doing, () => checkPath(path, "write"));
  }
}

/** One line on stderr: "sd-rpn: CODE: message". */
export function printError(error: unknown): void {
  const message = (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, " ");
  const code = error instanceof UsageError ? "" : error instanceof SdRpnError ? `${error.code}: ` : "INTERNAL: ";
  process.stderr.write(`sd-rpn: ${code}${message}\n`);
  if (code === "INTERNAL: " && process.env.SD_RPN_LOG && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`);
  }
}
