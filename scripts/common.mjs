// What the build scripts share: where things are, how a message looks, how a program is run.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, realpathSync, writeSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** An error that is printed as its message, without the stack. */
export class BuildError extends Error {}

export function say(message) {
  console.error(`sd-rpn: ${message}`);
}

/** Runs `main` if the module at `url` is the program itself, not an import; a BuildError is printed as one line. */
export async function runScript(url, main) {
  if (!process.argv[1] || realpathSync(process.argv[1]) !== fileURLToPath(url)) return;
  try {
    await main();
  } catch (error) {
    say(error instanceof BuildError ? error.message : (error?.stack ?? error));
    process.exitCode = 1;
  }
}

/** True where `command --version` can be run. */
export function hasProgram(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).error === undefined;
}

/** Runs git in `cwd`, which need not be a repository; returns { status, stderr }. */
export function runGit(args, cwd) {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX)$/.test(name)) delete env[name];
  }
  // without a ceiling git finds a repository around cwd, and `git apply` then silently skips every file
  env.GIT_CEILING_DIRECTORIES = dirname(cwd);
  const { status, stderr, error } = spawnSync("git", args, { cwd, env, stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
  return { status: status ?? 1, stderr: error ? error.message : stderr };
}

/**
 * Runs a program with its output in `logFile`, and resolves to its exit code.
 * `onLine` gets each line of standard output.
 */
export function runLogged(command, args, { cwd = ROOT, env = process.env, logFile, onLine = () => {} }) {
  const log = openSync(logFile, "a");
  return new Promise((fulfil, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", log] });
    let rest = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        writeSync(log, `${line}\n`);
        onLine(line);
      }
    });
    child.on("error", (error) => {
      closeSync(log);
      reject(new BuildError(`${command} could not be started: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      if (rest) writeSync(log, rest);
      closeSync(log);
      fulfil(signal ? 1 : code);
    });
  });
}

/** The last `count` lines of a file, for a failure's report. */
export function tail(file, count) {
  if (!existsSync(file)) return "";
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}
