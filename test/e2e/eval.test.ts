import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { TASK_NAMES } from "../../src/eval/task";
import { writeBenchmark } from "../helpers/benchmark-files";
import { demoQuestions, ROOT } from "../helpers/demo";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-eval-"));
const at = (...names: string[]): string => join(folder, ...names);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const demo = join("demo", "questions.jsonl");
const METHODS = "none,rpn,attention,vicrop,oracle";
/** What two runs of the same have to have in common; speed, timings and the machine are apart. */
const RESULTS = ["config.json", "predictions.jsonl", "report.json", "report.md", "report.html"];

interface Row {
  index: number;
  id: string;
  method: string;
  text: string;
  score: number | null;
  crops: number[][];
}

const rowsIn = (run: string): Row[] => {
  const text = readFileSync(join(run, "predictions.jsonl"), "utf8");
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line) as Row);
};
const reportIn = (run: string) => JSON.parse(readFileSync(join(run, "report.json"), "utf8"));

function expectSameResults(run: string, other: string): void {
  for (const name of RESULTS) {
    expect({ name, bytes: readFileSync(join(run, name)).equals(readFileSync(join(other, name))) }).toEqual({ name, bytes: true });
  }
}

async function evaluate(...args: string[]) {
  const result = await sdRpn(["eval", ...args]);
  expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: "" });
  return result.stdout;
}

describe("every benchmark, from its release files to the report", () => {
  test.each([...TASK_NAMES])("%s", async (task) => {
    const { data, images } = await writeBenchmark(task, at(`data-${task}`));
    const out = at(`task-${task}`);
    await evaluate(task, "--data", data, ...(images ? ["--images", images] : []), "--out", out, "--max-tokens", "6");
    const rows = rowsIn(out);
    const report = reportIn(out);
    expect(report.task.name).toBe(task);
    expect(rows.length).toBe(2 * report.items.evaluated);
    expect(rows.map(({ index, method }) => `${index} ${method}`)).toEqual(rows.map((_, i) => `${Math.floor(i / 2)} ${i % 2 ? "rpn" : "none"}`));
    expect(report.methods.map(({ name }: { name: string }) => name)).toEqual(["none", "rpn"]);
    for (const { main } of report.methods) {
      expect(main.low).toBeLessThanOrEqual(main.value);
      expect(main.high).toBeGreaterThanOrEqual(main.value);
    }
    expect(existsSync(join(out, "report.html"))).toBe(true);
  });
});

describe("methods on the demo model", () => {
  const out = at("methods");
  const boxes = at("boxes.jsonl");
  const whole = at("whole.jsonl");
  const questions = demoQuestions().slice(0, 20);
  let stdout: string;

  beforeAll(async () => {
    // the boxes of a detector that knows all, and of one that always sees the whole picture
    writeFileSync(boxes, questions.map(({ id, box }) => `${JSON.stringify({ id, boxes: [box] })}\n`).join(""));
    writeFileSync(whole, questions.map(({ id }) => `${JSON.stringify({ id, boxes: [] })}\n`).join(""));
    stdout = await evaluate("custom", "--data", demo, "--limit", "20", "--methods", METHODS, "--vicrop-suffix", "", "--boxes", boxes, "--boxes", `blind=${whole}`, "--out", out);
  });

  const accuracy = (method: string, kind?: string): number => {
    const rows = rowsIn(out).filter((row) => row.method === method && (kind === undefined || (questions[row.index].kind === "coarse") === (kind === "coarse")));
    return rows.reduce((sum, { score }) => sum + score!, 0) / rows.length;
  };

  test("a second look reads what one view cannot, whichever way the region is found", () => {
    expect(accuracy("none", "codes")).toBeLessThan(0.15);
    for (const method of ["rpn", "attention", "vicrop", "oracle"]) {
      expect(accuracy(method, "codes")).toBeGreaterThan(0.6);
      expect(accuracy(method, "coarse")).toBe(1);
    }
    expect(accuracy("rpn", "codes") - accuracy("none", "codes")).toBeGreaterThan(0.75);
  });

  test("regions from files are those of the file", () => {
    const of = (method: string) => rowsIn(out).filter((row) => row.method === method).map(({ text, crops }) => ({ text, crops }));
    expect(of("boxes")).toEqual(of("oracle"));
    expect(of("blind")).toEqual(of("none"));
  });

  test("the report has recall, tokens, differences; the terminal the tables and the speed", () => {
    const methods = Object.fromEntries(reportIn(out).methods.map((method: { name: string }) => [method.name, method]));
    expect(Object.keys(methods)).toEqual([...METHODS.split(","), "boxes", "blind"]);
    expect(methods.oracle).toMatchObject({ regionShare: 1, recall: { items: 20, area: 1, whole: 1 } });
    expect(methods.rpn.recall.area).toBeGreaterThan(0.5);
    expect(methods.rpn.versusNone.won).toBeGreaterThan(8);
    expect(methods.rpn.versusNone.p).toBeLessThan(0.01);
    expect(methods.vicrop.tokens.look).toBeGreaterThan(2 * 144);
    expect(methods.attention.tokens.look).toBeGreaterThan(144);
    expect(methods.none.tokens).toMatchObject({ roi: 0, look: 0 });
    for (const word of ["Accuracy", "Categories", "Regions and tokens", "Speed", "relative to none", "report.html"]) {
      expect(stdout).toContain(word);
    }
    const speed = JSON.parse(readFileSync(join(out, "speed.json"), "utf8"));
    expect(speed.machines).toHaveLength(1);
    expect(speed.methods.map(({ relative }: { relative: number }) => relative > 0)).toEqual(Array(7).fill(true));
    expect(speed.methods[0].relative).toBe(1);
  });

  test("the page needs nothing beside it, and shows pictures of what was won", () => {
    const page = readFileSync(join(out, "report.html"), "utf8");
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
    expect(page).not.toMatch(/https?:|@import|url\(/);
    expect(page.match(/<article/g)!.length).toBeGreaterThan(8);
    expect(page.match(/src="data:image\/jpeg;base64,/g)!.length).toBeGreaterThan(50);
  });
});

describe("a run that is cut short", () => {
  const args = ["custom", "--data", demo, "--limit", "14", "--methods", "none,rpn,vicrop"];
  const whole = at("whole");
  beforeAll(() => evaluate(...args, "--out", whole));

  test("kill -9 in the middle, resumed: the same bytes, nothing asked twice", async () => {
    const out = at("killed");
    const file = join(out, "predictions.jsonl");
    checkBuilt();
    const child = spawn(process.execPath, [CLI, "eval", ...args, "--out", out], { cwd: ROOT, stdio: "ignore" });
    while (!existsSync(file) || rowsIn(out).length < 9) {
      await setTimeout(5);
    }
    child.kill("SIGKILL");
    await once(child, "exit");
    const before = rowsIn(out);
    expect(before.length).toBeLessThan(3 * 14);
    expect(existsSync(join(out, "report.json"))).toBe(false);
    appendFileSync(file, '{"index":99,"id":"torn'); // what a kill within a write leaves
    const timed = readFileSync(join(out, "timings.jsonl"), "utf8");

    await evaluate(...args, "--out", out);
    expectSameResults(out, whole);
    expect(rowsIn(out).slice(0, before.length)).toEqual(before);
    const timings = readFileSync(join(out, "timings.jsonl"), "utf8");
    expect(timings.startsWith(timed)).toBe(true);
    const keys = timings.trim().split("\n").map((line) => JSON.parse(line)).map(({ index, method }) => `${index} ${method}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys).toHaveLength(3 * 14);
  });

  test("a prediction that is lost is made again, and no other", async () => {
    const out = at("lost");
    mkdirSync(out);
    for (const name of readdirSync(whole)) {
      writeFileSync(join(out, name), readFileSync(join(whole, name)));
    }
    const text = readFileSync(join(out, "predictions.jsonl"), "utf8");
    truncateSync(join(out, "predictions.jsonl"), text.trimEnd().lastIndexOf("\n") + 1);
    await evaluate(...args, "--out", out);
    expectSameResults(out, whole);
  });

  test("shards, merged in any order, are the whole", async () => {
    await Promise.all(["1/2", "2/2"].map((shard) => evaluate(...args, "--shard", shard, "--out", at(`shard${shard[0]}`))));
    const stdout = await evaluate("merge", at("shard2"), at("shard1"), "--out", at("merged"));
    expect(stdout).toContain("Accuracy");
    expectSameResults(at("merged"), whole);
    expect(existsSync(at("merged", "speed.md"))).toBe(true);
  });

  test.each<[string, string[], RegExp]>([
    ["one is missing", ["shard1"], /Expected all 2 shards but 2\/2 is missing/],
    ["one comes twice", ["shard1", "shard1"], /Expected each shard once/],
    ["a whole run is among them", ["whole", "shard1"], /is a whole run/],
    ["a folder is none of a run", ["nowhere"], /IO_ERROR/],
  ])("shards that do not make a run are refused: %s", async (_, names, message) => {
    const { code, stderr } = await sdRpn(["eval", "merge", ...names.map((name) => at(name)), "--out", at("never")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(existsSync(at("never"))).toBe(false);
  });

  test("a folder of another run is refused, with the difference", async () => {
    const { code, stderr } = await sdRpn(["eval", ...args, "--threshold", "0.3", "--out", whole]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/INVALID_ARGUMENT: .* holds another run: threshold is 0\.15 there and 0\.3 here/);
  });
});

describe("thresholds", () => {
  test("a sweep on the development part draws the curve, and its best is used; no picture of it is reported", async () => {
    const out = at("sweep");
    const args = ["custom", "--data", demo, "--dev", "0.3", "--sweep", "0.9,0.15,0.1", "--threshold", "best", "--methods", "none,rpn", "--max-tokens", "8", "--out", out];
    const stdout = await evaluate(...args);
    const { sweep, threshold, items } = reportIn(out);
    expect(sweep.points.map((point: { threshold: number }) => point.threshold)).toEqual([0.1, 0.15, 0.9]);
    expect(sweep.points[2].value).toBeLessThan(sweep.points[1].value);
    expect(sweep.points[2].found).toBe(0);
    expect([0.1, 0.15]).toContain(sweep.best);
    expect(threshold).toBe(sweep.best);
    expect(items.evaluated + items.development).toBe(demoQuestions().length);
    const svg = readFileSync(join(out, "sweep.svg"), "utf8");
    expect(svg).toContain(`best ${sweep.best}</text>`);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain(svg);
    expect(readFileSync(join(out, "report.md"), "utf8")).toContain("](sweep.svg)");
    expect(stdout).toContain("Thresholds");
    const swept = readFileSync(join(out, "sweep.jsonl"), "utf8").trim().split("\n").map((line) => (JSON.parse(line) as Row).id);
    const imageOf = new Map(demoQuestions().map(({ id, image }) => [id, image]));
    const images = new Set(swept.map((id) => imageOf.get(id)));
    expect(rowsIn(out).some(({ id }) => images.has(imageOf.get(id)!))).toBe(false);
  });
});

describe("wrong usage and wrong data", () => {
  test.each<[string[], RegExp]>([
    [["textvqua", "--data", demo], /Allowed choices are textvqa/],
    [["custom"], /required option '--data <path>'/],
    [["custom", "--data", demo, "--methods", "none,rpm"], /none, rpn, attention, vicrop, oracle for --methods but received rpm/],
    [["custom", "--data", demo, "--methods", "boxes"], /--boxes FILE adds regions/],
    [["custom", "--data", demo, "--threshold", "2"], /--threshold but received 2/],
    [["custom", "--data", demo, "--sweep"], /Expected --dev with --sweep/],
    [["custom", "--data", demo, "--threshold", "best"], /Expected --sweep with --threshold best/],
    [["custom", "--data", demo, "--dev", "1.5"], /share between 0 and 1/],
    [["custom", "--data", demo, "--dev", "0.2", "--dev-images", "x"], /data file for --dev-images/],
    [["custom", "--data", demo, "--limit", "0"], /--limit but received 0/],
    [["custom", "--data", demo, "--shard", "3/2"], /i\/n with i between 1 and n for --shard but received 3\/2/],
    [["merge", "a"], /required option '--out <dir>'/],
  ])("%j ends with 2", async (args, message) => {
    const { code, stdout, stderr } = await sdRpn(["eval", ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  test("what the model or the data lacks ends with 1 before anything is asked", async () => {
    const bare = at("bare.jsonl");
    writeFileSync(bare, `${JSON.stringify({ image: join(ROOT, "demo", "images", "900000.jpg"), question: "?", answer: "x" })}\n{"image": 3}\n`);
    const fail = async (message: RegExp, ...args: string[]): Promise<void> => {
      const { code, stdout, stderr } = await sdRpn(["eval", ...args, "--out", at("unused")]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(message);
      expect(existsSync(at("unused"))).toBe(false);
    };
    await fail(/DATA_INVALID: .*bare\.jsonl:2:\d+: /, "custom", "--data", bare);
    await fail(/boxes for the method oracle/, "custom", "--data", bare, "--limit", "1", "--methods", "oracle");
    const model = ["--model", join("demo", "pico-llava-f16.gguf"), "--mmproj", join("demo", "pico-mmproj-f16.gguf")];
    await fail(/RPN_NOT_LOADED/, "custom", "--data", demo, "--methods", "rpn", ...model);
    await fail(/Expected a model with 32 layers/, "custom", "--data", demo, "--methods", "attention", "--heads", "llava-1.5-7b");
    await fail(/layer below 6 for vicrop\.layer but received 6/, "custom", "--data", demo, "--methods", "vicrop", "--vicrop-layer", "6");
  });

  test("pictures that are missing or broken are counted where that is wanted", async () => {
    const file = at("holes.jsonl");
    writeFileSync(at("broken.png"), "no picture");
    const [{ image, question, answer }] = demoQuestions("coarse");
    writeFileSync(file, [{ image, question, answer }, { image: "gone.png", question, answer }, { image: "broken.png", question, answer }].map((line) => `${JSON.stringify(line)}\n`).join(""));
    const { code, stderr } = await sdRpn(["eval", "custom", "--data", file, "--out", at("holes")]);
    expect({ code }).toEqual({ code: 1 });
    expect(stderr).toMatch(/DATA_INVALID: .*holes\.jsonl:2:\d+: .*gone\.png/);
    const report = JSON.parse(await evaluate("custom", "--data", file, "--skip-missing", "--json", "--out", at("holes")));
    expect(report.items).toMatchObject({ evaluated: 2, skipped: 1 });
    expect(report.methods[0]).toMatchObject({ failed: 1, main: { value: 0.5 } });
  });
});
