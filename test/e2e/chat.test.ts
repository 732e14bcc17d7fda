import { spawn } from "node:child_process";
import { demoQuestions, ROOT } from "../helpers/demo";
import { loadModel } from "../../src/index";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const [{ image, question }] = demoQuestions("object");
const SHAPE = "What shape is purple?";

/** Runs `sd-rpn chat` with these lines as its input; `interrupt`: sends SIGINT when that has come on stdout. */
function chat(args: string[], input: string | null, interrupt?: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  checkBuilt();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, "chat", image, ...args], { cwd: ROOT, env: { ...process.env, SD_RPN_LOG: "" } });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data: Buffer) => {
      stdout += data.toString();
      if (interrupt !== undefined && stdout.includes(interrupt)) child.kill("SIGINT");
    });
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    if (input !== null) {
      if (interrupt === undefined) child.stdin.end(input);
      else child.stdin.write(input); // and stays open
    }
  });
}

test("each line is a question, read with those before it; blank lines are none", async () => {
  await using model = await loadModel();
  await using session = await model.open(image);
  const expected = session.chat();
  for (const asked of [SHAPE, question, SHAPE]) await expected.answer(asked);
  const answers = expected.history.filter(({ role }) => role === "assistant").map(({ text }) => `${text}\n`);
  expect(await chat([], `${SHAPE}\n\n  \n${question}\r\n${SHAPE}`)).toEqual({ code: 0, stdout: answers.join(""), stderr: "" });
});

test("options are those of answer", async () => {
  const { stdout } = await chat(["--roi", "never", "--max-tokens", "1", "--temperature", "1", "--seed", "3"], `${question}\n`);
  await using model = await loadModel();
  const { text } = await model.answer(image, question, { roi: "never", maxTokens: 1, temperature: 1, seed: 3 });
  expect(stdout).toBe(`${text}\n`);
  expect(await chat(["--max-tokens", "0"], "")).toMatchObject({ code: 2, stderr: expect.stringContaining("--max-tokens") });
  expect(await chat(["--context-size", "200"], `${"long ".repeat(200)}\n`)).toMatchObject({ code: 1, stderr: expect.stringContaining("CONTEXT_OVERFLOW") });
});

test("no question is no error; Ctrl-C ends it while it waits for a line", async () => {
  expect(await chat([], "")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await chat([], `${SHAPE}\n`, "\n")).toMatchObject({ code: 130, stdout: expect.stringMatching(/^\w+\n$/) });
});

test("a system text reaches the model, whose template has no place for one", async () => {
  const refused = { code: 1, stdout: "", stderr: expect.stringContaining("no system text for this model") as unknown };
  expect(await chat(["--system", "Be brief."], `${SHAPE}\n`)).toEqual(refused);
  for (const command of ["answer", "roi"]) {
    expect(await sdRpn([command, image, question, "--system", "Be brief."])).toMatchObject(refused);
  }
});
