#!/usr/bin/env node
// Accuracy of the demo model on drawn scenes, with and without the region proposal network:
//
//   node bench/eval-pico.mjs --data DIR [--limit n] [--model F --mmproj F --rpn F] [--out report.json]
//
// DIR holds questions.jsonl (image, question, answer, kind: object | form | coarse, box, textBox) and the pictures.
// Exact match, greedy. The table has the rows of demo/README.md, so that both can be compared.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadModel } from "sd-rpn";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: new URL("../demo", import.meta.url).pathname },
    limit: { type: "string" },
    model: { type: "string" },
    mmproj: { type: "string" },
    rpn: { type: "string" },
    out: { type: "string" },
  },
});

const questions = readFileSync(join(values.data, "questions.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line))
  .slice(0, values.limit === undefined ? undefined : Number(values.limit));
const files = values.model ? { model: values.model, mmproj: values.mmproj, rpn: values.rpn } : {};

/** Whether the region shows all of the box [x0, y0, x1, y1]. */
const shows = ({ crop }, [x0, y0, x1, y1]) => crop !== null && crop.x <= x0 && crop.y <= y0 && crop.x + crop.width >= x1 && crop.y + crop.height >= y1;

const model = await loadModel(files);
const records = [];
for (const { image, question, answer, kind, textBox } of questions) {
  const path = join(values.data, image);
  const never = await model.answer(path, question, { roi: "never" });
  const auto = await model.answer(path, question, { roi: "auto" });
  const always = auto.usedRoI ? auto : await model.answer(path, question, { roi: "always" });
  const { region, found } = auto.roi;
  records.push({
    kind,
    never: never.text === answer,
    auto: auto.text === answer,
    always: always.text === answer,
    found,
    inside: textBox ? shows(region, textBox) : null,
    area: region.crop ? (region.crop.width * region.crop.height) / 1008 ** 2 : 0,
    ms: { never: never.timings.total, auto: auto.timings.total },
  });
  if (process.stderr.isTTY) process.stderr.write(`\r${records.length} of ${questions.length}`);
}
await model.dispose();
if (process.stderr.isTTY) process.stderr.write("\r");

const columns = {
  objects: (r) => r.kind === "object",
  forms: (r) => r.kind === "form",
  codes: (r) => r.kind !== "coarse",
  coarse: (r) => r.kind === "coarse",
};
const share = (rows, key) => rows.filter((r) => r[key]).length / rows.length;
const mean = (rows, value) => rows.reduce((sum, r) => sum + value(r), 0) / rows.length;
const rows = {
  'one view ("never")': (rs) => share(rs, "never"),
  'region from the RPN ("auto")': (rs) => share(rs, "auto"),
  'region from the RPN ("always")': (rs) => share(rs, "always"),
  "a region is found": (rs) => share(rs, "found"),
  "code wholly inside the region": (rs) => (rs.every((r) => r.inside === null) ? NaN : share(rs, "inside")),
  "area of the region, share of the picture": (rs) => mean(rs, (r) => r.area),
  'ms per question ("never")': (rs) => mean(rs, (r) => r.ms.never),
  'ms per question ("auto")': (rs) => mean(rs, (r) => r.ms.auto),
};

const sets = Object.entries(columns).map(([name, test]) => [name, records.filter(test)]).filter(([, rs]) => rs.length > 0);
const table = Object.entries(rows).map(([name, value]) => [name, ...sets.map(([, rs]) => value(rs))]);
console.log(`| | ${sets.map(([name, rs]) => `${name} (${rs.length})`).join(" | ")} |`);
console.log(`|---|${sets.map(() => "---").join("|")}|`);
for (const [name, ...cells] of table) {
  console.log(`| ${name} | ${cells.map((v) => (Number.isNaN(v) ? "" : name.startsWith("ms") ? v.toFixed(0) : v.toFixed(3))).join(" | ")} |`);
}
if (values.out) {
  writeFileSync(values.out, JSON.stringify({ sets: sets.map(([name, rs]) => ({ name, n: rs.length })), table, records }, null, 1));
}
