import { execFileSync } from "node:child_process";
import * as os from "node:os";
import { ROOT } from "./root.js";

/** Where the figures come from. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  system: string;
  node: string;
  /** of the repository, "+" where files differ from it */
  commit: string;
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    commit: commit(),
  };
}

function commit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty=+"], { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}

/** Processes that wanted a core in the last minute, other ones than the benchmark's where it has not begun; 0 on Windows. */
export function load(): number {
  return Math.round(os.loadavg()[0] * 100) / 100;
}
