// The service as it is started: what it prints, what it loads, and how it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

interface Started {
  child: ChildProcess;
  url: string;
  lines: () => string;
  ended: Promise<number | null>;
}

function start(...args: string[]): Promise<Started> {
  checkBuilt();
  const child = spawn(process.execPath, [CLI, "serve", "--port", "0", ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let [lines, told] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (lines += part.toString()));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return new Promise((resolve, reject) => {
    child.stderr.on("data", (part: Buffer) => {
      told += part.toString();
      const url = /serving on (\S+)/.exec(told)?.[1];
      if (url) resolve({ child, url, lines: () => lines, ended });
    });
    void ended.then((code) => reject(new Error(`ended with ${code}: ${told}`)));
  });
}

const ready = async (url: string): Promise<void> => {
  while (!(await fetch(`${url}/health`)).ok) await new Promise((resolve) => setTimeout(resolve, 20));
};

test.each(["SIGTERM", "SIGINT"] as const)("%s: what is under way is answered, then the process ends with 0", async (signal) => {
  const { child, url, lines, ended } = await start();
  await ready(url);
  // the page is part of the build
  const page = await fetch(url);
  expect([page.status, page.headers.get("content-security-policy"), (await page.text()).includes('src="page/main.mjs"')]).toEqual([200, expect.stringContaining("default-src 'none'"), true]);
  expect((await fetch(`${url}/page/main.mjs`)).headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect((await fetch(`${url}/page/../../serve.js`)).status).toBe(404);
  const schema = { type: "string", minLength: 900, maxLength: 1000 };
  const content = [{ type: "image_url", image_url: { url: `file://${join(ROOT, "demo/images/900000.jpg")}` } }, { type: "text", text: "What code is under ROOM?" }];
  // without --media-path it is refused
  const ask = (url: string, more: object) => fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ messages: [{ role: "user", content }], ...more }) });
  expect((await ask(url, {})).status).toBe(400);
  const other = await start("--media-path", join(ROOT, "demo"));
  await ready(other.url);
  const answering = ask(other.url, { max_tokens: 3000, response_format: { type: "json_schema", json_schema: { name: "long", schema } } });
  while (((await (await fetch(`${other.url}/health`)).json()) as { under_way: number }).under_way === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  other.child.kill(signal);
  expect((await answering).status).toBe(200);
  child.kill(signal);
  expect([await ended, await other.ended]).toEqual([0, 0]);
  // structured, one a line
  expect(lines().trim().split("\n").map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(expect.arrayContaining(["ready", "answered", "draining"]));
});

test("wrong options are told before anything is loaded", async () => {
  expect(await sdRpn(["serve", "--port", "99999"])).toMatchObject({ code: 2, stderr: expect.stringContaining("--port") });
  expect(await sdRpn(["serve", "--api-keys", "/gone"])).toMatchObject({ code: 1, stderr: expect.stringContaining("IO_ERROR") });
  expect(await sdRpn(["serve", "--cors", "example.org"])).toMatchObject({ code: 1, stderr: expect.stringContaining("cors") });
  expect(await sdRpn(["serve", "--port", "0", "--model", "/gone.gguf"])).toMatchObject({ code: 1, stderr: expect.stringContaining("MODEL_NOT_FOUND") });
});

test("neither the library nor other commands load what only the service needs", async () => {
  checkBuilt();
  const loaded = async (code: string): Promise<string[]> => {
    const print = 'console.log(JSON.stringify(Object.keys(require.cache).filter((file) => /fastify|prom-client|pino|lib.server.(?!options|keys|http-error)/.test(file))))';
    const { stdout } = await runNode(["-e", `${code}; ${print}`]);
    return JSON.parse(stdout.trim().split("\n").pop()!) as string[];
  };
  expect(await loaded('require("./lib/index.js")')).toEqual([]);
  expect(await loaded('require("./lib/cli/program.js").createProgram(new AbortController().signal)')).toEqual([]);
  expect((await loaded('require("./lib/server/serve.js")')).length).toBeGreaterThan(50);
});
