import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// `npm run patches:check` on a small tree: each patch changes one file of twelve numbered lines
const SCRIPT = join(__dirname, "../../scripts/check-patches.mjs");
const LINES = Array.from({ length: 12 }, (_, i) => `line ${i + 1}`);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sd-rpn-test-"));
  mkdirSync(join(folder, "patches"));
  mkdirSync(join(folder, "tree/src"), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string) => join(folder, "tree/src", name);
const write = (name: string, lines: readonly string[]) => writeFileSync(file(name), `${lines.join("\n")}\n`);

/** A patch that puts `to` in the place of line 6 `from`, with three lines of context on either side. */
function patch(number: number, name: string, to: string, from = "line 6"): void {
  const body = [" line 3", " line 4", " line 5", `-${from}`, `+${to}`, " line 7", " line 8", " line 9"].join("\n");
  const text = `What it does and why.\n\ndiff --git a/src/${name} b/src/${name}\n--- a/src/${name}\n+++ b/src/${name}\n@@ -3,7 +3,7 @@\n${body}\n`;
  writeFileSync(join(folder, "patches", `000${number}-${name}.patch`), text);
}

function check(dir = join(folder, "tree")): { status: number | null; lines: string[]; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, dir, join(folder, "patches")], { encoding: "utf8" });
  return { status, lines: stdout.trim().split("\n"), stderr };
}

test("patches that fit, at other lines and on top of one another; the tree stays as it is", () => {
  write("same", LINES);
  write("moved", ["new", "new too", ...LINES]);
  patch(1, "same", "one");
  patch(2, "moved", "one");
  patch(3, "same", "two", "one");
  expect(check()).toMatchObject({
    status: 0,
    lines: ["0001-same.patch: fits", "0002-moved.patch: fits, moved by 2 lines", "0003-same.patch: fits", "all 3 patches fit"],
  });
  expect(readFileSync(file("same"), "utf8")).toBe(`${LINES.join("\n")}\n`);
});

test("patches that need work are named, each with what is wrong, and those after them are still tried", () => {
  write("changed", LINES.with(5, "another line 6"));
  write("context", LINES.with(2, "another line 3"));
  write("merged", LINES.with(5, "one"));
  write("same", LINES);
  for (const [i, name] of ["changed", "context", "gone", "merged", "same"].entries()) patch(i + 1, name, "one");
  expect(check()).toMatchObject({
    status: 1,
    lines: [
      "0001-changed.patch: no longer fits: src/changed:3",
      "0002-context.patch: fits only with less context: read the result and make the patch again",
      "0003-gone.patch: no longer fits: src/gone: No such file or directory",
      "0004-merged.patch: is in this tree already: remove the patch",
      "0005-same.patch: fits",
      "4 of 5 patches need work: 0001-changed.patch, 0002-context.patch, 0003-gone.patch, 0004-merged.patch",
    ],
  });
});

test("a folder that is not there", () => {
  const { status, stderr } = check(join(folder, "nowhere"));
  expect(status).toBe(1);
  expect(stderr).toMatch(/expected the folder of a llama.cpp tree, but .*nowhere is not a folder/);
});
