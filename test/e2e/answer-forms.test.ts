import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Answer } from "../../src/index";
import { demoQuestions } from "../helpers/demo";
import { sdRpn } from "./run-cli";

// `sd-rpn answer` with options about the form of the answer
const [object] = demoQuestions("object");
const ask = ["answer", object.image, object.question];
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-forms-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test("--logprobs adds probabilities to the document", async () => {
  const { code, stdout } = await sdRpn([...ask, "--json", "--logprobs", "3"]);
  expect(code).toBe(0);
  const answer = JSON.parse(stdout) as Answer;
  expect(answer.logprobs).toHaveLength(answer.usage.completionTokens);
  expect(answer.logprobs![0].top).toHaveLength(3);
  expect(answer.confidence).toBeGreaterThan(0);
});

test("--grammar binds the answer to the grammar of a file", async () => {
  const grammar = file("code.gbnf", "root ::= [a-z] [0-9] [a-z]\n");
  expect(await sdRpn([...ask, "--grammar", grammar])).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^[a-z][0-9][a-z]\n$/) });
});

test.each([
  ["--logprobs without --json", () => ["--logprobs", "3"], 2, /^sd-rpn: Expected --json with --logprobs/],
  ["--logprobs out of bounds", () => ["--json", "--logprobs", "21"], 2, /boolean or integer between 1 and 20 for --logprobs but received 21/],
  ["a grammar that is not there", () => ["--grammar", join(folder, "none.gbnf")], 1, /^sd-rpn: IO_ERROR: Cannot read the grammar: /],
  ["a faulty grammar", () => ["--grammar", file("bad.gbnf", "# one\nroot := x")], 1, /^sd-rpn: INVALID_ARGUMENT: Expected a grammar in GBNF but in line 2: expecting ::= at := x\n$/],
])("%s is refused", async (_, args, exit, message) => {
  expect(await sdRpn([...ask, ...args()])).toMatchObject({ code: exit, stdout: "", stderr: expect.stringMatching(message) });
});
