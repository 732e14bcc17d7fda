// Clients that nobody here wrote: `npm run test:clients -- clients`. Those of Python need `pip install openai schemathesis`.
import { join } from "node:path";
import { runChild } from "../run-child";
import { first, type Parsed, type Served, startService } from "../serve";

const FOLDER = join(__dirname, "..", "clients");
const python = process.env.SD_RPN_TEST_PYTHON ?? "python3";

let service: Served;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service?.end());

const ask = async (command: string, ...args: string[]): Promise<Parsed> => JSON.parse(await runChild(command, [...args, service.url, first.image, first.question]));
const askNode = (client: string) => ask(process.execPath, join(FOLDER, "ask.mjs"), client);
const { answer } = first;

test("OpenAI's client: chat, conversation, stream, JSON by zod's helper, errors, models, abort", async () => {
  expect(await askNode("openai")).toEqual({
    text: answer, tokens: 3, regions: 1, again: "string", streamed: answer, finished: answer, usage: true, json: true,
    refused: [true, "tools", "INVALID_ARGUMENT"], missing: true, models: ["pico-llava-f16"], aborted: "APIUserAbortError",
  });
});

test("Vercel's AI SDK: text, stream, object", async () => {
  expect(await askNode("ai")).toEqual({ text: answer, finish: "stop", usage: true, streamed: answer, streamedUsage: true, json: true, refused: [404, true] });
});

test("LangChain's ChatOpenAI: invoke, stream, conversation, structured output", async () => {
  expect(await askNode("langchain")).toEqual({ text: answer, usage: true, streamed: answer, again: "string", json: true });
});

test("OpenAI's client for Python", async () => {
  expect(await ask(python, join(FOLDER, "ask.py"))).toEqual({ text: answer, streamed: answer, refused: "n", models: ["pico-llava-f16"] });
});

test("schemathesis makes requests of the OpenAPI document, and none fails inside", async () => {
  const run = "from schemathesis.cli import schemathesis; schemathesis()";
  const out = await runChild(python, ["-c", run, "run", `${service.url}/openapi.json`, "--checks", "not_a_server_error", "--max-examples", "30", "--seed", "19"]);
  const [, made, passed] = /(\d+) generated, (\d+) passed/.exec(out)!.map(Number);
  expect(made).toBeGreaterThan(500);
  expect(passed).toBe(made);
});
