import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";

// The JavaScript of the pages that say so is run as it stands. What stands behind "// ->" must be what it prints, line by line.
const PROMISE = "npx jest test/e2e/docs";

interface Example {
  name: string;
  code: string;
}

function examplesOf(file: string): Example[] {
  const text = readFileSync(join(ROOT, "docs", file), "utf8");
  if (!text.includes(PROMISE)) {
    return [];
  }
  return [...text.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code], index) => ({ name: `${file.replace(/\.md$/, "")}-${index + 1}`, code }));
}

const examples = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md")).flatMap(examplesOf);

test("there are examples", () => {
  expect(examples.length).toBeGreaterThanOrEqual(5);
});

test.each(examples)("$name", async ({ name, code }) => {
  const folder = join(ROOT, "build", "docs-examples"); // inside the package, which may import itself by its name
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, code);
  const { code: exit, stdout, stderr } = await runNode([file]);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  const promised = [...code.matchAll(/\/\/ -> (.*)$/gm)].map(([, line]) => line);
  if (promised.length > 0) {
    expect(stdout.trimEnd().split("\n")).toEqual(promised);
  }
});
