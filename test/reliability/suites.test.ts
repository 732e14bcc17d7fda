// The reliability suites at the size that fits here (docs/reliability.md has the full ones), and whether they can fail: each must
// turn red, with the words that belong to it, for every fault of faults/ that breaks its promise.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type ChildResult, runNode } from "../helpers/child";
import { ROOT } from "../helpers/demo";

const FOLDER = join("test", "reliability");

interface Fault {
  /** what the suite's failures must say, each of them */
  says: RegExp[];
  /** options that the suite needs to notice soon, such as the part that must */
  args?: string[];
}

interface Suite {
  /** arguments for the library as it is, and for one with faults */
  good: string;
  /** further runs that must pass */
  also?: string[];
  broken: string;
  /** faults that break different promises, and so are put into one run; all others have a run of their own */
  together?: string[][];
}

const SUITES: Record<string, Suite> = {
  abort: {
    good: "--aborts 90 --threads 1",
    also: ["sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3"].map((name) => `--aborts 60 --threads 1 --checkpoint test/fixtures/golden/qwen/${name}`),
    broken: "--aborts 36 --threads 1",
    together: [
      ["the reason is lost", "the answer after an abort is another"],
      ["an aborted open ends five seconds late", "a model is disposed when its queue is worked off"],
    ],
  },
  fuzz: { good: "--gguf 20 --images 25 --pdfs 25 --checkpoints 25 --indexes 25 --tokenizers 25 --configs 25 --labels 25 --heads 25 --grammars 25 --schemas 25 --histories 25 --questions 25 --answers 25 --folders 25", broken: "--kind label --labels 20" },
  lifecycle: { good: "--every 37", broken: "--threads 1" },
  load: {
    good: "--calls 40 --rounds 2 --pictures 2 --threads 1",
    broken: "--calls 40 --rounds 2 --pictures 2 --threads 1",
    together: [
      ["answers of two calls are swapped", "a map is another in company", "one bit of the features is another in company", "wrong input has another code", "a call keeps its memory"],
      ["the last call comes first", "the signal is dropped", "a map has no numbers in company"],
    ],
  },
  same: {
    good: "--questions 2 --threads 2",
    broken: "--questions 1 --threads 1",
    together: [
      ["a seed is not used", "the map depends on the threads", "the features are never quite the same"],
      ["the text depends on the threads", "the map depends on the company", "the map is never quite the same"],
    ],
  },
  security: { good: "", broken: "--threads 1" },
  soak: {
    good: "--minutes 0.3 --cycles 40 --limit 15 --threads 1",
    broken: "--minutes 0.1 --cycles 24 --limit 15 --threads 1",
    together: [
      ["a call keeps memory", "a call keeps a file open", "the signal is dropped", "a disposed model keeps memory"],
      ["bad bytes are answered", "a model is not freed"],
    ],
  },
};

/** What makes a run of a suite count as passed: anything else is a failure. */
function verdict({ code, signal, stdout, stderr }: ChildResult): { passed: boolean; failed: number; says: string } {
  const tried = /^\w+: (\d+) tried, (\d+) failed, /m.exec(stdout);
  const failed = Number(tried?.[2] ?? 0);
  const passed = code === 0 && signal === null && stderr === "" && tried !== null && Number(tried[1]) > 0 && failed === 0;
  return { passed, failed, says: [...stdout.matchAll(/^ {2}FAILED (.*)$/gm)].map(([, text]) => text).join("\n") };
}

// two at a time, since most wait for one thread of their own
let lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
function run(suite: string, args: string[]): Promise<ChildResult> {
  const [first, ...rest] = lanes;
  const result = first.then(() => runNode(["--expose-gc", join(FOLDER, `${suite}.cjs`), ...args], { timeout: 280_000 }));
  lanes = [...rest, result.catch(() => {})];
  return result;
}

const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");
const faultsOf = (suite: string): Record<string, Fault> => require(join(ROOT, FOLDER, "faults", `${suite}.cjs`)) as Record<string, Fault>;

/** Every fault of a suite, in the runs that they share or have alone. */
function runsOf(suite: string): string[][] {
  const { together = [] } = SUITES[suite];
  const shared = new Set(together.flat());
  return [...together, ...Object.keys(faultsOf(suite)).filter((name) => !shared.has(name)).map((name) => [name])];
}

const BROKEN = Object.keys(SUITES).flatMap((suite) => runsOf(suite).map((names) => ({ suite, names, title: `${suite}: ${names.join("; ")}` })));

const GOOD = Object.entries(SUITES).flatMap(([suite, { good, also = [] }]) => [good, ...also].map((args) => [suite, args] as const));

test.concurrent.each(GOOD)("%s passes: %s", async (suite, args) => {
  const result = await run(suite, words(args));
  expect({ ...verdict(result), ...result, stdout: "" }).toEqual({ passed: true, failed: 0, says: "", code: 0, signal: null, stderr: "", stdout: "" });
}, 290_000);

test.concurrent.each(BROKEN)("$title", async ({ suite, names }) => {
  const faults = names.map((name) => faultsOf(suite)[name]);
  const result = await run(suite, [...words(SUITES[suite].broken), ...faults.flatMap(({ args = [] }) => args), "--break", names.join(";")]);
  const { passed, failed, says } = verdict(result);
  expect({ passed, code: result.code, signal: result.signal }).toEqual({ passed: false, code: 1, signal: null });
  expect(failed).toBeGreaterThan(0);
  for (const pattern of faults.flatMap((fault) => fault.says)) expect(says).toMatch(pattern);
}, 290_000);

test("every suite has faults, and every program of the folder is a suite or part of one", () => {
  const parts = ["common", "fuzz-child", "gguf-mutate"];
  const programs = readdirSync(join(ROOT, FOLDER)).filter((name) => name.endsWith(".cjs")).map((name) => name.slice(0, -4));
  expect(programs.filter((name) => !parts.includes(name)).sort()).toEqual(Object.keys(SUITES).sort());
  for (const suite of Object.keys(SUITES)) {
    expect(Object.values(faultsOf(suite)).length).toBeGreaterThan(3);
    for (const { says } of Object.values(faultsOf(suite))) expect(says.length).toBeGreaterThan(0);
    for (const name of SUITES[suite].together?.flat() ?? []) expect(Object.keys(faultsOf(suite))).toContain(name);
  }
});

test("a suite that is not known to have passed has failed", async () => {
  const good = { code: 0, signal: null, stdout: "load:   3 tried\nload: 3 tried, 0 failed, 0.1 s\n", stderr: "" };
  expect(verdict(good).passed).toBe(true);
  const bad: Partial<ChildResult>[] = [{ code: 1 }, { code: null }, { signal: "SIGSEGV" }, { stderr: "freed twice" }, { stdout: "" }, { stdout: "load: 0 tried, 0 failed, 0.1 s\n" }, { stdout: "load: 3 tried, 1 failed, 0.1 s\n" }];
  for (const each of bad) expect([each, verdict({ ...good, ...each }).passed]).toEqual([each, false]);
  // a suite that tries nothing says so
  const nothing = await run("lifecycle", ["--only", "no such stage"]);
  expect(verdict(nothing)).toEqual({ passed: false, failed: 1, says: "nothing was tried: see the options" });
  const unknown = await run("load", ["--break", "no such fault"]);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining("expected one of answers of two calls are swapped; ")]);
});
