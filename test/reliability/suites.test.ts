// The reliability suites at the size that fits here; docs/reliability.md has the full ones.
import { runNode } from "../helpers/child";

const SUITES: [name: string, args: string[]][] = [
  ["load: 40 overlapping calls", ["--expose-gc", "test/reliability/load.cjs", "--calls", "40", "--rounds", "1"]],
  ["lifecycle: each eleventh of 226 combinations", ["test/reliability/lifecycle.cjs", "--every", "11"]],
  ["abort: 25 aborts", ["test/reliability/abort.cjs", "--aborts", "25"]],
  ["fuzz: 30 files of each kind of GGUF, 40 pictures, 40 checkpoints, 40 label files",
    ["test/reliability/fuzz.cjs", "--gguf", "30", "--images", "40", "--checkpoints", "40", "--labels", "40"]],
];

test.each(SUITES)("%s", async (_, args) => {
  const { code, signal, stdout, stderr } = await runNode(args, { timeout: 170_000 });
  expect({ code, signal, stderr, failed: stdout.match(/FAILED .*/g), end: /tried, 0 failed/.test(stdout) }).toEqual({ code: 0, signal: null, stderr: "", failed: null, end: true });
}, 180_000);
