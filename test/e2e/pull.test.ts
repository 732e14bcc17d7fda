// Fetching a model as people do it, from a hub on this machine: killed and gone on with, side by side, and loaded by its name.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { demoModel } from "../../src/index";
import { demoQuestions, ROOT } from "../helpers/demo";
import { HubServer } from "../helpers/hub-server";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const demo = demoModel();
const [question] = demoQuestions("object");
let server: HubServer;
let cache: string;
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  server = new HubServer("maker/pico");
  for (const role of ["model", "mmproj", "rpn"] as const) server.files.set(basename(demo[role]), readFileSync(demo[role]));
  await server.start();
  cache = mkdtempSync(join(tmpdir(), "sd-rpn-pull-"));
  env = { HF_ENDPOINT: server.url, SD_RPN_CACHE: cache, HF_TOKEN: "" };
});
afterEach(async () => {
  await server.stop();
  rmSync(cache, { recursive: true, force: true });
});

test("pull says where the files are, again that they are there, and answer finds them by name", async () => {
  const { code, stdout, stderr } = await sdRpn(["pull", "maker/pico"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^fetched +\/.*pico-mmproj-f16\.gguf, [\d.]+ MB\nfetched .*pico-rpn-f16\.gguf.*\nfetched .*pico-llava-f16\.gguf.*\ncommit +[0-9a-f]{40}\nuse +--model hf:maker\/pico\n$/);
  const again = await sdRpn(["pull", "hf:maker/pico", "--json"], env);
  expect((JSON.parse(again.stdout) as { files: { fetched: boolean }[] }).files.map(({ fetched }) => fetched)).toEqual([false, false, false]);
  await server.stop(); // what is there needs no hub
  const answered = await sdRpn(["answer", question.image, question.question, "--model", "hf:maker/pico"], env);
  expect(answered).toMatchObject({ code: 0, stdout: `${question.answer}\n`, stderr: "" });
  const info = await sdRpn(["info", "--model", "demo", "--json"], env);
  expect((JSON.parse(info.stdout) as { files: object }).files).toEqual({ model: join("demo", "pico-llava-f16.gguf"), mmproj: join("demo", "pico-mmproj-f16.gguf"), rpn: join("demo", "pico-rpn-f16.gguf") });
  await server.start();
});

test("killed again and again it goes on, and what it fetches is right", async () => {
  checkBuilt();
  const big = randomBytes(24 << 20);
  server.files.set("big.gguf", big);
  let fetched = 0;
  for (let n = 1; n <= 4; n++) {
    server.slow = true; // waits for the kill
    const child = spawn(process.execPath, [CLI, "pull", "maker/pico:big.gguf"], { cwd: ROOT, stdio: "ignore", env: { ...process.env, ...env } });
    const partial = (): number => {
      const found = readdirSync(cache, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith("big.gguf.partial"));
      return found ? statSync(join(cache, found)).size : 0;
    };
    const signal = await new Promise((resolve) => {
      const timer = setInterval(() => partial() > fetched + (1 << 20) && child.kill("SIGKILL"), 5);
      child.on("close", (_, how) => {
        clearInterval(timer);
        resolve(how);
      });
    });
    expect(signal).toBe("SIGKILL");
    expect(partial()).toBeGreaterThan(fetched);
    fetched = partial();
  }
  server.slow = false;
  const { code, stderr } = await sdRpn(["pull", "maker/pico:big.gguf"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const ranges = server.fetches.filter(({ path }) => path === "big.gguf").map(({ range }) => Number(/\d+/.exec(range ?? "0")![0]));
  expect(ranges).toHaveLength(5);
  expect(ranges).toEqual([...new Set(ranges)].sort((a, b) => a - b)); // each began where the one before had come to
  const path = readdirSync(cache, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith("big.gguf"))!;
  expect(readFileSync(join(cache, path)).equals(big)).toBe(true);
});

test("processes side by side fetch each file once", async () => {
  server.slow = true;
  const runs = await Promise.all([1, 2, 3].map(() => sdRpn(["pull", "maker/pico"], env)));
  expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(3).fill({ code: 0, stderr: "" }));
  expect(server.fetches.map(({ path }) => path).sort()).toEqual(["pico-llava-f16.gguf", "pico-mmproj-f16.gguf", "pico-rpn-f16.gguf"]);
});

test("Ctrl-C ends it in order, with 130, and what was fetched stays", async () => {
  server.slow = true;
  const child = spawn(process.execPath, [CLI, "pull", "maker/pico"], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const timer = setInterval(() => {
    if (existsSync(cache) && readdirSync(cache, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".partial") && statSync(join(cache, name)).size > 0)) {
      child.kill("SIGINT");
      clearInterval(timer);
    }
  }, 5);
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringMatching(/^sd-rpn: ABORTED: [^\n]+\n$/) });
  expect(readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".lock"))).toEqual([]);
});

test.each<[string[], number, RegExp]>([
  [["pull"], 2, /missing required argument 'name'/],
  [["pull", "pico"], 1, /INVALID_ARGUMENT: Expected name on a hub/],
  [["pull", "maker/other"], 1, /DOWNLOAD_FAILED: .*check owner, name/],
  [["info", "--model", "hf:maker/pico"], 1, /MODEL_NOT_FOUND: .*`sd-rpn pull maker\/pico`/],
  [["info", "--mmproj", "x.gguf"], 2, /Expected --model with --mmproj and --rpn/],
  [["info", "--model", "src"], 1, /MODEL_NOT_FOUND: Expected a language model in src/],
])("%j: exit code %i", async (args, expected, message) => {
  const { code, stderr } = await sdRpn(args, env);
  expect(stderr).toMatch(message);
  expect(code).toBe(expected);
});
