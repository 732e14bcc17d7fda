#!/usr/bin/env node
// The next question about an open picture, answered with a second look whose place each method finds in its own way, on a
// synthetic model (random weights, real shapes): time, not accuracy.
//
//   node bench/eval-next.mjs [--shape llava-1.5-7b] [--scale 8] [--type q8_0] [--rounds 9] [--max-tokens 8] [--threads n]
//
// The default has the 32 layers, 576 image tokens and branch layer of LLaVA-1.5 7B at an eighth of its width. Every method is given
// the same crop size, since random weights point nowhere: rpn at its map's maximum ("always"), the others at a box of 3 x 3 cells. attention
// reads an answer of --max-tokens words, vicrop two prompts. Methods take turns in rounds; medians, and the median of the rounds' ratios.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { distill, loadModel } from "sd-rpn";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "llava-1.5-7b" },
    scale: { type: "string", default: "8" },
    type: { type: "string", default: "q8_0" },
    rounds: { type: "string", default: "9" },
    "max-tokens": { type: "string", default: "8" },
    threads: { type: "string" },
  },
});
const synth = join(ROOT, "build", "native", "bench", "synth-model");
const out = join(ROOT, "bench", "out", "models");
const files = JSON.parse(execFileSync(synth, ["--shape", values.shape, "--scale", values.scale, "--type", values.type, "--seed", "1", "--out", out], { encoding: "utf8" }));
const threads = values.threads === undefined ? undefined : Number(values.threads);
const maxTokens = Number(values["max-tokens"]);
const model = await loadModel({ model: files.model, mmproj: files.mmproj, rpn: files.rpn, threads });
const { layers, grid, imageTokens, imageSize, backend, device } = model.info;

const side = 2 * imageSize;
const data = new Uint8Array(side * side * 3).map((_, i) => (i * 7919) % 251);
const session = await model.open({ data, width: side, height: side, channels: 3 });
const cell = side / Math.max(grid.width, grid.height);
const box = [{ x: 10 * cell, y: 10 * cell, width: 3 * cell, height: 3 * cell }];
const SUFFIX = "\nAnswer the question using a single word or phrase.";
const layer = Math.round((14 / 32) * layers);
let asked = 0;
const question = () => `What is the value in line ${++asked} of the table?${SUFFIX}`; // never the same twice

const methods = {
  none: (text) => session.answer(text, { roi: "never", maxTokens }),
  rpn: (text) => session.answer(text, { roi: "always", threshold: 0.999, maxTokens }),
  attention: async (text) => {
    await distill.attention(session, text, { layers: [2, layer], maxTokens });
    return session.answer(text, { roi: box, maxTokens });
  },
  vicrop: async (text) => {
    await distill.attention(session, text, { layers: [layer], maxTokens: 1 });
    await distill.attention(session, `Write a general description of the image.${SUFFIX}`, { layers: [layer], maxTokens: 1 });
    return session.answer(text, { roi: box, maxTokens });
  },
};
const names = Object.keys(methods);
const times = Object.fromEntries(names.map((name) => [name, []]));
for (let round = -1; round < Number(values.rounds); round++) {
  for (const name of names) {
    const text = question();
    const start = performance.now();
    const { usage, usedRoI } = await methods[name](text);
    const spent = performance.now() - start;
    if (usedRoI !== (name !== "none") || usage.roiTokens !== (name === "none" ? 0 : imageTokens)) {
      throw new Error(`${name} looked at ${usage.roiTokens} tokens`);
    }
    if (round >= 0) times[name].push(spent); // the first round warms up, and is not counted
  }
}
await session.dispose();
await model.dispose();

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
console.log(`${values.shape} / ${values.scale}, ${values.type}: ${layers} layers, ${imageTokens} image tokens; ${backend} (${device}); ${values.rounds} rounds, answers of ${maxTokens} tokens\n`);
console.log("| next question on an open picture | median ms | relative to none | over rpn |");
console.log("|---|---:|---:|---:|");
for (const name of names) {
  const ratio = median(times[name].map((ms, i) => ms / times.rpn[i]));
  console.log(`| ${name} | ${median(times[name]).toFixed(0)} | ${(median(times.none) / median(times[name])).toFixed(2)}x | ${ratio.toFixed(2)} |`);
}
for (const rival of ["attention", "vicrop"]) {
  const ahead = median(times[rival].map((ms, i) => ms / times.rpn[i])) > 1;
  console.log(`rpn against ${rival}: ${ahead ? "ahead" : "BEHIND"}`);
  if (!ahead) process.exitCode = 1;
}
