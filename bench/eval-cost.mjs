// How long the published benchmarks take by their floating-point operations: the table of docs/benchmarks.md.
// `node bench/eval-cost.mjs` for the named hardware; `node bench/eval-cost.mjs --tflops 312 --gbs 2039` for another.
import { parseArgs } from "node:util";

/** Sizes of the language models; K is the layer that the region proposal network branches off at. */
const MODELS = {
  "7B": { layers: 32, width: 4096, feedForward: 11008, vocabulary: 32000, K: 15 },
  "13B": { layers: 40, width: 5120, feedForward: 13824, vocabulary: 32000, K: 15 },
};
/** CLIP ViT-L/14 at 336 pixels, of which 23 of 24 blocks run, and the projector. */
const TOWER = { layers: 23, width: 1024, feedForward: 4096, tokens: 577 };
const RPN_LAYERS = 2;
const SYSTEM_TOKENS = 35;
const IMAGE_TOKENS = 576;

/** Questions and pictures of the published part; tokens of a question (its suffix and the template's end with it) and of an answer, as assumed. */
const TASKS = {
  textvqa: { questions: 5000, pictures: 3166, asked: 30, answered: 6 },
  docvqa: { questions: 5349, pictures: 1286, asked: 32, answered: 8 },
  infovqa: { questions: 2801, pictures: 500, asked: 38, answered: 6 },
  chartqa: { questions: 2500, pictures: 1509, asked: 34, answered: 4 },
  ocrbench: { questions: 1000, pictures: 1000, asked: 24, answered: 12 },
  vstar: { questions: 191, pictures: 191, asked: 64, answered: 2 },
  pope: { questions: 9000, pictures: 500, asked: 28, answered: 2 },
  hrbench4k: { questions: 800, pictures: 200, asked: 64, answered: 2 },
  hrbench8k: { questions: 800, pictures: 200, asked: 64, answered: 2 },
};

/** Peak of dense half-precision products in TFLOP/s (on CPUs single precision) and memory in GB/s, from the makers' data sheets. */
const HARDWARE = {
  "RTX A6000": { tflops: 154.8, gbs: 768 },
  "RTX 4090": { tflops: 165.2, gbs: 1008 },
  "H100 SXM": { tflops: 989, gbs: 3350 },
  "8 cores, AVX2, 4 GHz, DDR5": { tflops: 1.02, gbs: 80 },
};
/** Shares of the peaks that are reached, as assumed. */
const EFFICIENCY = { compute: 0.4, memory: 0.6 };

/** `tokens` through `layers`, after `before` others: two per weight and token, and the two products of attention. */
function block({ width, feedForward }, matrices, layers, tokens, before = 0) {
  const weights = 4 * width ** 2 + matrices * width * feedForward;
  const seen = tokens * before + tokens ** 2 / 2;
  return layers * (2 * weights * tokens + 4 * width * seen);
}

function towerFlops({ width }) {
  const seesAll = 4 * TOWER.width * TOWER.tokens ** 2 * 0.5 * TOWER.layers; // no causal mask: the other half too
  return block(TOWER, 2, TOWER.layers, TOWER.tokens) + seesAll + 2 * (TOWER.width * width + width ** 2) * IMAGE_TOKENS;
}

/** FLOPs of a task: what is done once per picture, and once per question. */
function flops(model, { questions, pictures, asked }, withRegion) {
  const prefix = SYSTEM_TOKENS + IMAGE_TOKENS;
  const perPicture = towerFlops(model) + block(model, 3, model.layers + (withRegion ? RPN_LAYERS : 0), prefix);
  const plain = block(model, 3, model.layers, asked, prefix);
  const propose = block(model, 3, model.K + RPN_LAYERS, asked, prefix);
  // a region found for every question, and no token of it masked: the most that it can be
  const look = towerFlops(model) + block(model, 3, model.layers, IMAGE_TOKENS + asked, prefix);
  return pictures * perPicture + questions * (withRegion ? propose + look : plain);
}

/** Bytes read to generate: all weights, in half precision, for each token. */
function bytes(model, { questions, answered }) {
  const parameters = model.layers * (4 * model.width ** 2 + 3 * model.width * model.feedForward) + model.vocabulary * model.width;
  return questions * answered * 2 * parameters;
}

function hours(model, task, { tflops, gbs }, withRegion) {
  const seconds = flops(model, task, withRegion) / (tflops * 1e12 * EFFICIENCY.compute) + bytes(model, task) / (gbs * 1e9 * EFFICIENCY.memory);
  return seconds / 3600;
}

function show(time) {
  return time < 1 ? `${Math.max(1, Math.round(time * 60))} min` : time < 100 ? `${time.toFixed(1)} h` : `${Math.round(time / 24)} d`;
}

const { values } = parseArgs({ options: { tflops: { type: "string" }, gbs: { type: "string" } } });
const hardware = values.tflops && values.gbs ? { given: { tflops: Number(values.tflops), gbs: Number(values.gbs) } } : HARDWARE;
for (const [size, model] of Object.entries(MODELS)) {
  console.log(`\nLLaVA-1.5 ${size}: none / rpn\n`);
  console.log(`| task | PFLOP | ${Object.keys(hardware).join(" | ")} |`);
  console.log(`|---|---|${Object.keys(hardware).map(() => "---|").join("")}`);
  for (const [name, task] of Object.entries(TASKS)) {
    const cost = [false, true].map((withRegion) => (flops(model, task, withRegion) / 1e15).toPrecision(3));
    const times = Object.values(hardware).map((device) => [false, true].map((withRegion) => show(hours(model, task, device, withRegion))).join(" / "));
    console.log(`| ${name} | ${cost.join(" / ")} | ${times.join(" | ")} |`);
  }
}
