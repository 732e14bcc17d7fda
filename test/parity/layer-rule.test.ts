import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoModel, loadModel } from "../../src/index";
import { ClipReference, type ClipShape, random } from "../helpers/clip-reference";
import { writeGguf } from "../helpers/gguf-writer";
import { relativeError } from "../helpers/safetensors";

// CLIP-L in miniature: the demo's language model takes its vectors of width 192
const SHAPE: Omit<ClipShape, "blocks" | "features"> = { imageSize: 28, patchSize: 14, width: 32, heads: 2, feedForward: 64, projection: 192 };

const directory = mkdtempSync(join(tmpdir(), "sd-rpn-layer-rule-"));
afterAll(() => rmSync(directory, { recursive: true }));

const uniform = random(7);
const pixels = Uint8Array.from({ length: 28 * 28 * 3 }, () => 256 * uniform());

interface Case {
  blocks: number;
  featureLayer?: number[];
  /** the projector's input: hidden states after so many blocks, 0 being the first block's input */
  reads: number[];
}

// hidden state -2 of CLIP-L's 24 blocks is the output of block 23; converters leave block 24 out
const CASES: Case[] = [
  { blocks: 24, reads: [23] },
  { blocks: 23, reads: [23] },
  { blocks: 6, reads: [6] },
  { blocks: 6, featureLayer: [5], reads: [5] },
  { blocks: 24, featureLayer: [22], reads: [22] },
  { blocks: 24, featureLayer: [24], reads: [24] },
  { blocks: 6, featureLayer: [-1], reads: [6] },
  { blocks: 24, featureLayer: [-2], reads: [23] },
  { blocks: 6, featureLayer: [-1, 4], reads: [4] },
  { blocks: 6, featureLayer: [3, 5], reads: [3, 5] },
];

test.each(CASES)("a tower of $blocks blocks with feature layers $featureLayer is read after $reads", async ({ blocks, featureLayer, reads }) => {
  const reference = new ClipReference({ ...SHAPE, blocks, features: reads.length }, 100 + blocks);
  const mmproj = join(directory, "mmproj.gguf");
  writeGguf(mmproj, reference.gguf(featureLayer));
  const model = await loadModel({ model: demoModel().model, mmproj, threads: 1 });
  try {
    expect(model.info).toMatchObject({ imageSize: 28, imageTokens: 4 });
    const actual = await model.encodeImage({ data: pixels, width: 28, height: 28, channels: 3 });
    expect(actual).toHaveLength(4 * 192);
    expect(relativeError(actual, reference.encode(pixels, reads))).toBeLessThan(2e-3);
    // the states before and after are far off, so a wrong rule cannot pass
    for (const step of [-1, 1]) {
      const neighbour = reads.map((block) => block + step);
      if (Math.max(...neighbour) <= blocks) {
        expect(relativeError(actual, reference.encode(pixels, neighbour))).toBeGreaterThan(0.05);
      }
    }
  } finally {
    await model.dispose();
  }
});
