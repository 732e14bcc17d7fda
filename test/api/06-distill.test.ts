import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { distill, loadModel, type Model, pseudoLabels } from "../../src";
import { chooseHeads } from "../../src/distill/grounding-and-sink-heads";
import { readLabels } from "../../src/distill/label-file";
import { demoQuestions, ROOT } from "../helpers/demo";

const DATA = join(ROOT, "demo", "questions.jsonl");
const HEADS = { grounding: [[4, 0], [3, 2], [4, 1]] as [number, number][], sink: [] };
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-distill-"));
let model: Model;
beforeAll(async () => (model = await loadModel()));
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const all = async <T>(results: AsyncIterable<T>): Promise<T[]> => {
  const list = [];
  for await (const result of results) list.push(result);
  return list;
};

/** Which cells of the 12x12 grid a box of the demo's pictures (1008 px) touches. */
const cellsOf = ([x0, y0, x1, y1]: readonly number[]): boolean[] =>
  Array.from({ length: 144 }, (_, cell) => {
    const [x, y] = [(cell % 12) * 84, Math.floor(cell / 12) * 84];
    return x + 84 > x0 && x < x1 && y + 84 > y0 && y < y1;
  });

describe("distill.heads", () => {
  test("the chosen heads look at what is asked as the best single one does; boxes check, they do not choose", async () => {
    const seen: distill.HeadsProgress[] = [];
    const ranking = await distill.heads(model, DATA, { pairs: 5, lattice: 4, onProgress: (p) => seen.push(p) });
    expect(ranking).toMatchObject({ used: 5, failed: [], model: { name: "pico-llava", layers: 6, heads: 4, grid: { width: 12, height: 12 } } });
    expect(seen[seen.length - 1]).toEqual({ used: 5, wanted: 5, passed: ranking.passed, failed: 0 });
    expect(ranking.heads).toHaveLength(24);
    expect(ranking.chosen.grounding).toHaveLength(3);
    expect(ranking.chosen.sink).toEqual([]); // the grounding heads of this model have no attention on sinks

    const share = new Float64Array(24);
    for (const { image, question, box, kind } of demoQuestions()) {
      if (kind === "coarse") continue;
      const { output } = await distill.attention(model, image, question);
      const on = cellsOf(box);
      for (let k = 0; k < 24; k++) {
        const map = output.subarray(k * 144, (k + 1) * 144);
        share[k] += map.reduce((sum, value, cell) => sum + (on[cell] ? value : 0), 0) / map.reduce((sum, value) => sum + value, 0) / 24;
      }
    }
    const chosen = ranking.chosen.grounding.reduce((sum, [layer, head]) => sum + share[layer * 4 + head], 0) / 3;
    expect(chosen).toBeGreaterThanOrEqual(0.9 * Math.max(...share));
  }, 120000);

  test("no pair of use is DATA_INVALID, and a picture that is not there is passed over", async () => {
    const coarse = demoQuestions("coarse").slice(0, 2);
    await expect(distill.heads(model, coarse)).rejects.toMatchObject({ code: "DATA_INVALID" });
    const [object] = demoQuestions("object");
    const ranking = await distill.heads(model, [{ id: "gone", image: "gone.jpg", question: "q" }, object], { lattice: 2 });
    expect(ranking).toMatchObject({ used: 1, failed: [{ id: "gone", code: "IMAGE_INVALID" }] });
  });

  test("an abort ends it", async () => {
    const controller = new AbortController();
    const ranking = distill.heads(model, DATA, { signal: controller.signal, onProgress: () => controller.abort("enough") });
    await expect(ranking).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
  });
});

describe("chosen by score", () => {
  test.each<[string, [grounding: number, sink: number][], number[][], number[][]]>([
    ["only heads that come near the best one point", [[1, 0], [0.9, 0], [0.5, 0], [0.1, 0.5]], [[0, 0], [0, 1]], []],
    ["sinks are removed where the pointing heads have some", [[1, 0.1], [0.9, 0], [0.2, 0.3], [0.1, 0.5]], [[0, 0], [0, 1]], [[0, 3], [0, 2]]],
  ])("%s", (_name, scores, grounding, sink) => {
    expect(chooseHeads(scores.map(([g, s], head) => ({ layer: 0, head, grounding: g, sink: s })), 3)).toEqual({ grounding, sink });
  });
});

describe("distill.label", () => {
  test("labels by the rule, in the order of the pairs, on the asked object", async () => {
    const questions = demoQuestions();
    const results = (await all(distill.label(model, questions, { heads: HEADS }))) as distill.Label[];
    expect(results.map(({ id }) => id)).toEqual(questions.map(({ id }) => id));
    let right = 0;
    let foreground = 0;
    for (const [index, { kind, box, image, question }] of questions.entries()) {
      const { grounding, sink, labels, foregroundBox, kept, text } = results[index];
      expect(pseudoLabels(sink, grounding, { grid: { width: 12, height: 12 } })).toEqual({ labels, foregroundBox });
      expect(kept).toBe(labels.some((value) => value !== -100));
      if (index % 9 === 0) {
        expect(text).toBe((await model.answer(image, question, { roi: "never" })).text);
      }
      if (kind !== "coarse") {
        const on = cellsOf(box);
        foreground += labels.filter((value) => value === 1).length;
        right += labels.filter((value, cell) => value === 1 && on[cell]).length;
      }
    }
    expect(right / foreground).toBeGreaterThan(0.95);
  });

  test("constants and maxTokens reach the rule; a pair below minAttention tells nothing", async () => {
    const pairs = demoQuestions("object").slice(0, 2);
    const [wide] = (await all(distill.label(model, pairs, { heads: HEADS, foregroundRatio: 0.01, maxTokens: 1 }))) as distill.Label[];
    const [narrow] = (await all(distill.label(model, pairs, { heads: HEADS, foregroundRatio: 0.9 }))) as distill.Label[];
    expect(wide.tokens).toBe(1);
    expect(wide.labels.filter((v) => v === 1).length).toBeGreaterThan(narrow.labels.filter((v) => v === 1).length);
    const none = (await all(distill.label(model, pairs, { heads: HEADS, minAttention: 1 }))) as distill.Label[];
    expect(none.every(({ kept, labels }) => !kept && labels.every((v) => v === -100))).toBe(true);
  });

  test("pairs that fail are passed over with their codes", async () => {
    const [a, b] = demoQuestions("object");
    const pairs = [a, { image: join(ROOT, "package.json"), question: "q" }, { image: a.image, question: "word ".repeat(4000) }, b];
    const results = await all(distill.label(model, pairs, { heads: HEADS }));
    expect(results.map(({ id, error }) => [id, error?.code])).toEqual([[a.id, undefined], ["2", "IMAGE_INVALID"], ["3", "CONTEXT_OVERFLOW"], [b.id, undefined]]);
  });

  test.each<[string, unknown, unknown, RegExp]>([
    ["an unknown preset", [], { heads: "llava-1.5-8b" }, /llava-1\.5-7b, llava-1\.5-13b or demo/],
    ["a preset of another model", [], { heads: "llava-1.5-7b" }, /32 layers of 32 heads .* 6 layers of 4 heads/],
    ["a head that is not there", [], { heads: { grounding: [[3, 4]] } }, /layers 0 to 5 with numbers 0 to 3 .*\[3, 4\]/],
    ["no head", [], { heads: { grounding: [] } }, /heads/],
    ["no pairs", 5, { heads: HEADS }, /path of a question file, or iterable/],
    ["a pair without a question", [{ image: "x" }], { heads: HEADS }, /non-empty string for pair 1\.question/],
  ])("INVALID_ARGUMENT: %s", async (_name, pairs, options, message) => {
    const call = all(distill.label(model, pairs as distill.Pair[], options as distill.LabelOptions));
    await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });
  });

  test("presets are the published tables", () => {
    const { "llava-1.5-7b": small, "llava-1.5-13b": large } = distill.headPresets;
    expect(small.grounding).toEqual([[14, 24], [14, 13], [14, 26]]);
    expect(small.sink).toEqual(Array.from({ length: 32 }, (_, head) => [2, head]));
    expect(large.grounding).toHaveLength(7);
    expect(large.sink).toEqual([[16, 17], [16, 22]]);
  });

  test("leaving early, an abort and dispose end it, and nothing goes on behind", async () => {
    const questions = demoQuestions();
    for await (const { id } of distill.label(model, questions, { heads: HEADS })) {
      expect(id).toBe(questions[0].id);
      break;
    }
    const controller = new AbortController();
    const aborted = (async () => {
      for await (const _ of distill.label(model, questions, { heads: HEADS, signal: controller.signal })) controller.abort("enough");
    })();
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });

    const other = await loadModel();
    const disposed = (async () => {
      for await (const _ of distill.label(other, questions, { heads: HEADS })) void other.dispose();
    })();
    await expect(disposed).rejects.toMatchObject({ code: "DISPOSED" });
    expect(await all(distill.label(model, questions.slice(0, 1), { heads: HEADS }))).toHaveLength(1);
  });
});

describe("distill.labelFile", () => {
  test("writes what label gives; the reader gives it back, and refuses labels of another model", async () => {
    const out = join(folder, "labels.jsonl");
    const progress = await distill.labelFile(model, { data: DATA, out, heads: HEADS });
    expect(progress).toMatchObject({ done: 36, total: 36, failed: 0 });
    const direct = new Map((await all(distill.label(model, demoQuestions(), { heads: HEADS }))).map((result) => [result.id, result as distill.Label]));
    const set = await readLabels(out);
    expect(set).toMatchObject({ grid: { width: 12, height: 12 }, failed: 0, ignored: progress.ignored, header: { shard: null, heads: HEADS } });
    expect(set.entries).toHaveLength(progress.kept);
    for (const { id, labels, path, text } of set.entries) {
      expect([...labels]).toEqual(direct.get(id)!.labels);
      expect(text).toBe(direct.get(id)!.text);
      expect(path).toBe(demoQuestions().find((q) => q.id === id)!.image);
    }
    // a repeated call has nothing to do
    expect(await distill.labelFile(model, { data: DATA, out, heads: HEADS })).toEqual({ done: 36, total: 36, kept: 0, ignored: 0, failed: 0 });
    expect(readFileSync(out, "utf8").trim().split("\n")).toHaveLength(37);
    await expect(distill.labelFile(model, { data: DATA, out, heads: HEADS, foregroundRatio: 0.3 })).rejects.toMatchObject({ code: "DATA_INVALID", file: out, line: 1 });

    const other = { ...set.header.model, layers: 32 };
    await expect(readLabels(out, { model: set.header.model })).resolves.toBeDefined();
    await expect(readLabels(out, { model: other })).rejects.toMatchObject({
      code: "DATA_INVALID",
      file: out,
      line: 1,
      message: expect.stringContaining("made with a different model: layers 6 instead of 32"),
    });
  });

  test.each<[string, (lines: string[]) => string[], number, RegExp]>([
    ["no header", (lines) => lines.slice(1), 1, /header of a label file/],
    ["a broken line", (lines) => [...lines.slice(0, 2), '{"id":"x",', ...lines.slice(2)], 3, /Expected JSON/],
    ["labels of another grid", (lines) => [lines[0], '{"id":"x","image":"i","question":"q","labels":"0101","kept":true}'], 2, /Expected 144 labels/],
    ["labels of other characters", (lines) => [lines[0], '{"id":"x","image":"i","question":"q","labels":"012","kept":true}'], 2, /text of 1, 0 and \./],
    ["an id twice", (lines) => [...lines, lines[1]], 38, /each id once/],
  ])("DATA_INVALID with its line: %s", async (_name, change, line, message) => {
    const file = join(folder, "changed.jsonl");
    const lines = readFileSync(join(folder, "labels.jsonl"), "utf8").trim().split("\n");
    writeFileSync(file, `${change(lines).join("\n")}\n`);
    await expect(readLabels(file)).rejects.toMatchObject({ code: "DATA_INVALID", file, line, message: expect.stringMatching(message) });
  });
});
