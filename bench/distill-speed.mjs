// From a question to its region on an open image: the network in one pass, or the attention of an answer of up to 8 tokens.
import { distill, loadModel } from "sd-rpn";

const TOKENS = 8;
const ROUNDS = 15;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** A picture of noise: what it shows does not matter for time. */
function picture(side) {
  const data = new Uint8Array(side * side * 3);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data[i] = state >>> 24;
  }
  return { data, width: side, height: side, channels: 3 };
}

/**
 * Interleaved, medians. The attention is read in the layers of the heads only, as a region without training would read it:
 * `heads` of the model, or those of the published 7B model where none are given.
 */
export async function measureSpeed(files, heads) {
  const model = await loadModel(files);
  const { layers, name } = model.info;
  const asked = [...new Set(heads ? [...heads.grounding, ...heads.sink].map(([layer]) => layer) : [2, Math.round((14 * layers) / 32)])];
  const session = await model.open(picture(model.info.imageSize));
  const times = { rpn: [], attention: [] };
  const tokens = [];
  for (let round = -2; round < ROUNDS; round++) {
    const question = `What is written at place ${round + 10}?`;
    let start = performance.now();
    await session.predictRoI(question);
    const rpn = performance.now() - start;
    start = performance.now();
    const { tokens: said } = await distill.attention(session, question, { layers: asked, maxTokens: TOKENS });
    const attention = performance.now() - start;
    if (round >= 0) { // the first two open contexts and prefixes
      times.rpn.push(rpn);
      times.attention.push(attention);
      tokens.push(said.length);
    }
  }
  await model.dispose();
  const [rpn, attention] = [median(times.rpn), median(times.attention)];
  const line = `question to region on an open image, ${name || "model"} of ${layers} layers: RPN ${rpn.toFixed(1)} ms, attention of ${median(tokens)} tokens ${attention.toFixed(1)} ms, ratio ${(rpn / attention).toFixed(2)}`;
  return { layers, rpn, attention, tokens: median(tokens), ratio: rpn / attention, line };
}
