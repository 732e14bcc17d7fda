#!/usr/bin/env node
import { CommanderError } from "commander";
import { EXIT, printError, UsageError } from "./exit.js";
import { createProgram } from "./program.js";

const controller = new AbortController();
let outputClosed = false;

// The first Ctrl-C aborts the work cleanly; a second one, for which there is no listener any more, ends the process.
process.once("SIGINT", () => controller.abort());

// The reader of our output has closed it, as `head` does: stop without a message.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  outputClosed = true;
  controller.abort();
  finish(error.code === "EPIPE" ? EXIT.brokenPipe : EXIT.error);
});
process.stderr.on("error", () => {});

void createProgram(controller.signal)
  .parseAsync(process.argv)
  .then(() => finish(EXIT.ok), report);

function report(error: unknown): void {
  if (outputClosed) {
    return;
  }
  if (error instanceof CommanderError) {
    finish(error.exitCode === 0 ? EXIT.ok : EXIT.usage); // commander has printed its message
    return;
  }
  printError(error);
  finish(error instanceof UsageError ? EXIT.usage : controller.signal.aborted ? EXIT.interrupted : EXIT.error);
}

/** Sets the exit code but leaves the exit to Node, which waits for pending output; the first code set is kept. */
function finish(code: number): void {
  process.exitCode ??= code;
}
