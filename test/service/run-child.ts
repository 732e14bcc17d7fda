import { spawn } from "node:child_process";
import { tmpdir } from "node:os";

/** What a command prints, while this process goes on serving; rejects with what it complains about. */
export function runChild(command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: tmpdir(), stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, LANGSMITH_TRACING: "false", AI_SDK_LOG_WARNINGS: "false" } });
    let [out, complaints] = ["", ""];
    child.stdout.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr.on("data", (part: Buffer) => (complaints += part.toString()));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${command} ended with ${code}: ${complaints.slice(-2000)}`))));
  });
}
