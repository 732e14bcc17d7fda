#!/usr/bin/env node
// The picture of docs/distill.md: where the chosen heads look, the labels made of it, and what the network predicts.
//
//   node bench/distill-figure.mjs [--data demo] [--id QUESTION ...] [--rpn FILE] [--heads heads.json] [--out docs/images/distill.png]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { demoModel, distill, loadModel, renderOverlay } from "sd-rpn";
import sharp from "sharp";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    data: { type: "string", default: join(ROOT, "demo") },
    id: { type: "string", multiple: true, default: ["900001-0", "900000-0"] },
    rpn: { type: "string", default: demoModel().rpn },
    heads: { type: "string" },
    out: { type: "string", default: join(ROOT, "docs", "images", "distill.png") },
  },
});
const SIDE = 360;
const GAP = 8;
const COLORS = { 1: [253, 195, 40, 200], 0: [40, 80, 160, 110], "-100": [0, 0, 0, 0] };

const model = await loadModel({ ...demoModel(), rpn: values.rpn });
const heads = values.heads ? JSON.parse(readFileSync(values.heads, "utf8")).chosen : { grounding: [[4, 0], [4, 1], [3, 0]], sink: [] };
const { grid } = model.info;
const nothing = { boxes: [], region: { kind: "none", crop: null, keep: null } };
const small = (png) => sharp(png).resize(SIDE, SIDE).png().toBuffer();

const questions = readFileSync(join(values.data, "questions.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
const rows = [];
for (const id of values.id) {
  const { image, question } = questions.find((q) => q.id === id);
  const path = join(values.data, image);
  let label;
  for await (const result of distill.label(model, [{ image: path, question }], { heads, foregroundRatio: 0.05, backgroundRatio: 0.05 })) label = result;
  const most = Math.max(...label.grounding);
  const attention = await renderOverlay(path, { map: { ...grid, data: label.grounding.map((v) => v / most) }, ...nothing }, { opacity: 0.7 });
  const cells = Buffer.from(label.labels.flatMap((value) => COLORS[value]));
  const raw = { width: grid.width, height: grid.height, channels: 4 };
  const layer = await sharp(cells, { raw }).resize(SIDE, SIDE, { kernel: "nearest" }).png().toBuffer();
  const labels = await sharp(path).resize(SIDE, SIDE).composite([{ input: layer }]).png().toBuffer();
  const roi = await model.predictRoI(path, question);
  rows.push([await small(attention), labels, await small(await renderOverlay(path, roi, { opacity: 0.7 }))]);
}
await model.dispose();
const place = (index) => index * (SIDE + GAP);
const canvas = { width: place(3) - GAP, height: place(rows.length) - GAP, channels: 3, background: "white" };
const parts = rows.flatMap((row, y) => row.map((input, x) => ({ input, left: place(x), top: place(y) })));
await sharp({ create: canvas }).composite(parts).png({ palette: true }).toFile(values.out);
