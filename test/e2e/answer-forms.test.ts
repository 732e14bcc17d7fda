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

test("--json-schema gives JSON of the schema in a file; a text that is cut off has a hint", async () => {
  const schema = file("code.json", JSON.stringify({ type: "object", properties: { code: { type: "string", maxLength: 3 } }, required: ["code"] }));
  const { code, stdout, stderr } = await sdRpn([...ask, "--json-schema", schema]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(stdout)).toEqual({ code: expect.any(String) });
  const whole = JSON.parse((await sdRpn([...ask, "--json-schema", schema, "--json"])).stdout) as Answer;
  expect(whole).toMatchObject({ value: { code: expect.any(String) }, hints: [] });
  expect(await sdRpn([...ask, "--json-schema", schema, "--max-tokens", "2"])).toMatchObject({ code: 0, stderr: expect.stringMatching(/^sd-rpn: VALUE_CUT: /) });
});

test("--choice takes the likeliest of several texts", async () => {
  const given = ["--choice", "no, nothing", "--choice", object.answer];
  expect(await sdRpn([...ask, ...given])).toMatchObject({ code: 0, stderr: "", stdout: `${object.answer}\n` });
  const answer = JSON.parse((await sdRpn([...ask, ...given, "--json"])).stdout) as Answer;
  expect(answer.choices!.map(({ text }) => text)).toEqual(["no, nothing", object.answer]);
  expect(answer.confidence).toBe(answer.choices![1].probability);
});

test.each([
  ["--logprobs without --json", () => ["--logprobs", "3"], 2, /^sd-rpn: Expected --json with --logprobs/],
  ["--logprobs out of bounds", () => ["--json", "--logprobs", "21"], 2, /boolean or integer between 1 and 20 for --logprobs but received 21/],
  ["a grammar that is not there", () => ["--grammar", join(folder, "none.gbnf")], 1, /^sd-rpn: IO_ERROR: Cannot read the grammar: /],
  ["a faulty grammar", () => ["--grammar", file("bad.gbnf", "# one\nroot := x")], 1, /^sd-rpn: INVALID_ARGUMENT: Expected a grammar in GBNF but in line 2: expecting ::= at := x\n$/],
  ["a schema that is no JSON", () => ["--json-schema", file("bad.json", "{")], 2, /^sd-rpn: Expected JSON in the file of --json-schema: /],
  ["a schema with an unknown keyword", () => ["--json-schema", file("odd.json", "{\"typ\":1}")], 1, /^sd-rpn: INVALID_ARGUMENT: .* at # typ has no effect/],
  ["a single choice", () => ["--choice", "a"], 1, /^sd-rpn: INVALID_ARGUMENT: Expected array of text without white space at its ends with at least 2/],
  ["choices with a temperature", () => ["--choice", "a", "--choice", "b", "--temperature", "1"], 1, /no temperature beside choices/],
])("%s is refused", async (_, args, exit, message) => {
  expect(await sdRpn([...ask, ...args()])).toMatchObject({ code: exit, stdout: "", stderr: expect.stringMatching(message) });
});
