import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./demo";

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs `node` with these arguments at the repository's root; rejects where lib/ was not built. */
export function runNode(args: string[], options: { env?: NodeJS.ProcessEnv; timeout?: number } = {}): Promise<ChildResult> {
  if (!existsSync(join(ROOT, "lib", "index.js"))) {
    return Promise.reject(new Error("lib/ is not built: run `npm run build`"));
  }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...options.env }, timeout: options.timeout ?? 60000 });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Runs a script with the library's exports in scope and the demo's first question as `q`. */
export function runScript(body: string, { nodeArgs = [], ...options }: { env?: NodeJS.ProcessEnv; timeout?: number; nodeArgs?: string[] } = {}): Promise<ChildResult> {
  const prelude = `
    const lib = require("./lib/index.js");
    const { loadModel, RoIPredictor, SdRpnError, demoModel } = lib;
    const { readFileSync } = require("node:fs");
    const q = JSON.parse(readFileSync("demo/questions.jsonl", "utf8").split("\\n")[0]);
    const image = "demo/" + q.image;
    const ask = (m, options) => m.answer(image, q.question, options);
    const main = async () => { ${body} };
    main().catch((error) => { console.error(error); process.exitCode = 9; });
  `;
  return runNode([...nodeArgs, "-e", prelude], options);
}
