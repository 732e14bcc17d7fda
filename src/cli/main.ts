#!/usr/bin/env node
import { CommanderError } from "commander";
import { EXIT, printError, UsageError } from "./exit.js";
import { createProgram } from "./program.js";

const controller = new AbortController();
let outputClosed = false;

// The first Ctrl-C ends the work in order; a second one, without a listener by then, ends the process.
process.once("SIGINT", () => controller.abort());

// Whoever read our output has left, as `head` does: stop without a word.
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

/** Leaves the exit itself to Node, which waits for what is still to be written; the first code set stands. */
function finish(code: number): void {
  process.exitCode ??= code;
}
