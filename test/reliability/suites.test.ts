// The reliability suites at the size that fits here; docs/reliability.md has the full ones.
import { runNode } from "../helpers/child";

const SUITES: [name: string, args: string[]][] = [
  ["load: 30 overlapping calls", ["--expose-gc", "test/reliability/load.cjs", "--calls", "30", "--rounds", "1"]],
  ["same: 2 questions, 1 and 2 threads, alone and four at a time", ["test/reliability/same.cjs", "--questions", "2", "--threads", "2"]],
  ["lifecycle: each 19th of 226 combinations", ["test/reliability/lifecycle.cjs", "--every", "19"]],
  ["abort: 25 aborts", ["test/reliability/abort.cjs", "--aborts", "25"]],
  ["fuzz: 20 files of each kind of GGUF, 25 pictures, 25 checkpoints, 25 label files",
    ["test/reliability/fuzz.cjs", "--gguf", "20", "--images", "25", "--checkpoints", "25", "--labels", "25"]],
  ["soak: half a minute of mixed work, 60 loads", ["--expose-gc", "test/reliability/soak.cjs", "--minutes", "0.5", "--cycles", "60", "--limit", "15"]],
];

test.each(SUITES)("%s", async (_, args) => {
  const { code, signal, stdout, stderr } = await runNode(args, { timeout: 280_000 });
  expect({ code, signal, stderr, failed: stdout.match(/FAILED .*/g), end: /tried, 0 failed/.test(stdout) }).toEqual({ code: 0, signal: null, stderr: "", failed: null, end: true });
}, 290_000);
