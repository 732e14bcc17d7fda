// Four ways to answer, on the same questions: one view, the region from the model's own attention, the network, the true box.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { distill, loadModel, regionFromMap } from "sd-rpn";

/** Whether the region shows all of the box [x0, y0, x1, y1]. */
const shows = (crop, [x0, y0, x1, y1]) => crop !== null && crop.x <= x0 && crop.y <= y0 && crop.x + crop.width >= x1 && crop.y + crop.height >= y1;

/** The square around the asked thing, 1.15 times as large as it, inside the picture. */
function oracleBox([x0, y0, x1, y1], size) {
  const side = Math.min(size, Math.max(x1 - x0, y1 - y0) * 1.15);
  const place = (middle) => Math.min(Math.max(0, middle - side / 2), size - side);
  return { x: place((x0 + x1) / 2), y: place((y0 + y1) / 2), width: side, height: side };
}

const SIZE = 1008; // of the drawn pictures

/**
 * One method per row. Each begins with the picture's path, so that its time is that of a first question, and resolves to the
 * answer's text and the region it looked at.
 */
const methods = (model, heads, grid) => ({
  "one view": async (path, { question }) => {
    const { text } = await model.answer(path, question, { roi: "never" });
    return { text, crop: null };
  },
  // the model answers, its attention becomes labels, and those are the map
  "attention RoI, no training": async (path, { question }) => {
    const [label] = await collect(distill.label(model, [{ image: path, question }], { heads, maxTokens: 32 }));
    const map = label.labels.map((value) => (value === 1 ? 30 : -30)); // logits of 1 and 0
    const { crop } = regionFromMap(map, { grid, image: { width: SIZE, height: SIZE }, threshold: 0.15 });
    const { text } = await model.answer(path, question, { roi: crop ? [crop] : "never" });
    return { text, crop };
  },
  "our RPN": async (path, { question }) => {
    const { text, roi } = await model.answer(path, question, { roi: "auto" });
    return { text, crop: roi.region.crop };
  },
  "oracle box": async (path, { question, box }) => {
    const crop = box ? oracleBox(box, SIZE) : null;
    const { text } = await model.answer(path, question, { roi: crop ? [crop] : "never" });
    return { text, crop };
  },
});

async function collect(results) {
  const list = [];
  for await (const result of results) list.push(result);
  return list;
}

const share = (records, test) => (records.length > 0 ? records.filter(test).length / records.length : NaN);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

export async function evaluate(files, heads, data, limit) {
  const questions = readFileSync(join(data, "questions.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line)).slice(0, limit);
  const model = await loadModel({ ...files, sessionCacheBytes: 0 }); // nothing of one method's work is there for the next
  const ways = Object.entries(methods(model, heads, model.info.grid));
  const records = Object.fromEntries(ways.map(([name]) => [name, []]));
  for (const question of questions) {
    for (const [name, answer] of ways) {
      const start = performance.now();
      const { text, crop } = await answer(join(data, question.image), question);
      const { kind, textBox } = question;
      records[name].push({ kind, ms: performance.now() - start, right: text === question.answer, crop, inside: textBox ? shows(crop, textBox) : null });
    }
  }
  await model.dispose();

  const plain = records["one view"];
  const rows = ways.map(([name]) => {
    const own = records[name];
    const of = (kind) => share(own.filter((r) => r.kind === kind), (r) => r.right);
    const codes = own.filter((r) => r.inside !== null);
    const looked = codes.filter((r) => r.crop !== null);
    return {
      name,
      objects: of("object"),
      forms: of("form"),
      coarse: of("coarse"),
      recall: name === "one view" ? NaN : share(codes, (r) => r.inside),
      area: looked.length > 0 ? mean(looked.map(({ crop }) => (crop.width * crop.height) / SIZE ** 2)) : NaN,
      extraMs: median(own.map((r, i) => r.ms - plain[i].ms)),
    };
  });
  return { questions: questions.length, oneViewMs: median(plain.map(({ ms }) => ms)), rows, table: table(rows, plain), checks: checksOf(rows) };
}

function table(rows, plain) {
  const count = (kind) => plain.filter((r) => r.kind === kind).length;
  const number = (value, digits = 3) => (Number.isNaN(value) ? "" : value.toFixed(digits));
  return [
    `| | objects (${count("object")}) | forms (${count("form")}) | coarse (${count("coarse")}) | region recall | mean region area | extra time over one view |`,
    "|---|---|---|---|---|---|---|",
    ...rows.map((r) =>
      `| ${r.name} | ${[r.objects, r.forms, r.coarse, r.recall, r.area].map((v) => number(v)).join(" | ")} | ${r.name === "one view" ? "" : `${number(r.extraMs, 0)} ms`} |`),
  ].join("\n");
}

/** What the method is held to. */
function checksOf(rows) {
  const [one, attention, rpn] = rows;
  const points = (a, b) => ((a - b) * 100).toFixed(1);
  return [
    { name: `RPN on objects ${points(rpn.objects, one.objects)} points over one view, at least 75`, passed: rpn.objects - one.objects >= 0.75 },
    { name: `RPN on forms ${points(rpn.forms, one.forms)} points over one view, at least 75`, passed: rpn.forms - one.forms >= 0.75 },
    { name: `RPN on objects ${points(rpn.objects, attention.objects)} points over the attention RoI, at least -1`, passed: rpn.objects - attention.objects >= -0.0101 },
    { name: `RPN on forms ${points(rpn.forms, attention.forms)} points over the attention RoI, at least -1`, passed: rpn.forms - attention.forms >= -0.0101 },
    { name: `region recall of the RPN ${rpn.recall.toFixed(3)}, at least 0.97`, passed: rpn.recall >= 0.97 },
    { name: `RPN on coarse questions ${points(rpn.coarse, one.coarse)} points over one view, at least -2`, passed: rpn.coarse - one.coarse >= -0.0201 },
  ];
}
