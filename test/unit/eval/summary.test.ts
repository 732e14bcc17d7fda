import { summarize } from "../../../src/eval/report/summary";
import { reportMarkdown } from "../../../src/eval/report/markdown";
import { taskOf } from "../../../src/eval/tasks";
import { config, item, prediction, rowsOf } from "./fake-run";

const task = taskOf("custom");

function input(methods: Record<string, ReturnType<typeof rowsOf>>, items = Object.values(methods)[0].map((_, i) => item(String(i)))) {
  const predictions = new Map(Object.entries(methods));
  return { task, config: config([...predictions.keys()]), items, predictions, developmentItems: 0, sweep: null };
}

test("accuracy, paired difference, won and lost, McNemar's p", async () => {
  const none = rowsOf("none", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const rpn = rowsOf("rpn", [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  const { methods } = await summarize(input({ none, rpn }));
  expect(methods[0]).toMatchObject({ name: "none", main: { value: 0.1 }, versusNone: null });
  expect(methods[1].main!.value).toBeCloseTo(0.9, 12);
  expect(methods[1].versusNone).toMatchObject({ won: 9, lost: 1, p: expect.closeTo(0.021484375, 12) });
  expect(methods[1].versusNone!.value).toBeCloseTo(0.8, 12);
  expect(methods[1].main!.low).toBeGreaterThan(0.6);
  expect(methods[1].main!.high).toBeLessThanOrEqual(1);
  expect(methods[1].versusNone!.low).toBeLessThan(0.8);
});

test("categories, regions, recall and tokens", async () => {
  const box = { x: 0, y: 0, width: 10, height: 10 };
  const items = [item("0", { category: "b", boxes: [box] }), item("1", { category: "a", boxes: [box] }), item("2", { category: "b" }), item("3", { category: "b" })];
  const looked = { crops: [[0, 0, 10, 5]] as [number, number, number, number][], tokens: { prompt: 200, roi: 100, completion: 4, look: 50 } };
  const rpn = [prediction(0, "rpn", 1, looked), prediction(1, "rpn", 0, { crops: [[0, 0, 10, 10]] }), prediction(2, "rpn", 1), prediction(3, "rpn", 0, { parsed: false })];
  const { methods } = await summarize(input({ none: rowsOf("none", [0, 0, 0, 0]), rpn }, items));
  const [none, own] = methods;
  expect(own.categories.map(({ name, value, items }) => [name, value, items])).toEqual([["a", 0, 1], ["b", 2 / 3, 3]]);
  expect(own).toMatchObject({ regionShare: 0.5, recall: { items: 2, area: 0.75, whole: 0.5 }, unparsed: 1, failed: 0 });
  expect(own.tokens).toEqual({ prompt: 125, roi: 25, completion: 2.5, look: 12.5 });
  expect(none).toMatchObject({ recall: null, regionShare: 0 });
});

test("the paper's row stands beside a model of its sizes, for the task it has", async () => {
  const base = input({ none: rowsOf("none", [1, 0]), rpn: rowsOf("rpn", [1, 1]), oracle: rowsOf("oracle", [1, 1]) });
  const report = await summarize({ ...base, config: config(["none", "rpn", "oracle"], { task: "textvqa" }) });
  expect(report.model.published).toBe("LLaVA-1.5-7B");
  expect(report.methods.map(({ published }) => published)).toEqual([46.1, 58.7, null]);
  const markdown = reportMarkdown(report, config(["none", "rpn", "oracle"]), false);
  expect(markdown).toContain("| rpn | 100.0 [100.0, 100.0] | +50.0 [0.0, +100.0] | 1 | 0 | 1.00 | 58.7 |");
  const other = await summarize(base);
  expect(other.methods.map(({ published }) => published)).toEqual([null, null, null]);
});

test("data that keeps its answers back has no figures", async () => {
  const { methods } = await summarize(input({ none: rowsOf("none", [null, null]), rpn: rowsOf("rpn", [null, null]) }));
  expect(methods).toMatchObject([{ main: null, versusNone: null }, { main: null, versusNone: null }]);
});

test("questions without an answer count as wrong, and are counted", async () => {
  const failed = prediction(1, "none", 0, { error: "CONTEXT_OVERFLOW", parsed: false, finishReason: "error" });
  const { methods } = await summarize(input({ none: [prediction(0, "none", 1), failed] }));
  expect(methods[0]).toMatchObject({ main: { value: 0.5 }, failed: 1, unparsed: 0, versusNone: null });
});

test("the same seed gives the same report", async () => {
  const base = input({ none: rowsOf("none", [1, 0, 1, 0, 0]), rpn: rowsOf("rpn", [1, 1, 1, 0, 1]) });
  expect(await summarize(base)).toEqual(await summarize(base));
});
