import { Clock } from "../../src/answer/clock";
import { proposeByNetwork } from "../../src/answer/methods/rpn";
import { regionResult } from "../../src/answer/region-result";
import { looksOfRegion } from "../../src/answer/second-look";
import type { RoI } from "../../src/base/types";
import type { Engine } from "../../src/engine/engine";
import { OpenedPicture } from "../../src/engine/opened-picture";
import { renderOverlay } from "../../src/image/overlay";
import { viewsOf } from "../../src/engine/views";
import type { NativeModelInfo } from "../../src/native/binding";
import { openPicture } from "../../src/image/picture";
import { cellCount, pixelsOfGrid, type ViewLayout, windowOfView } from "../../src/image/view-layout";
import { makePrompt } from "../../src/prompt/prompt";
import { boxesFromMap } from "../../src/roi/boxes-from-map";
import { viewOfPicture } from "../../src/roi/options";
import { peakRegion } from "../../src/roi/peak-region";
import { regionFromMap } from "../../src/roi/region-from-map";

// A view that is not square, whose cells are not of 14 pixels either: 24 x 12 cells of 16 x 16 pixels.
const WIDE: ViewLayout = { grid: { width: 24, height: 12 }, pixels: { width: 384, height: 192 } };

const VISION = { family: "llava", cell: 16, featureLength: 8, view: WIDE.pixels, grid: WIDE.grid, projector: "mlp", name: "", fill: [0, 0, 0] } as const;
const VIEWS = viewsOf({ vision: VISION as unknown as NativeModelInfo["vision"], rpn: null });

/** Logits of 6 in the given cells [x0, y0, x1, y1], -8 elsewhere. */
function logitsOf({ grid }: ViewLayout, ...rectangles: [number, number, number, number][]): Float32Array {
  const logits = new Float32Array(cellCount({ grid })).fill(-8);
  for (const [x0, y0, x1, y1] of rectangles) {
    for (let y = y0; y < y1; y++) {
      logits.fill(6, y * grid.width + x0, y * grid.width + x1);
    }
  }
  return logits;
}

async function opened(width: number, height: number): Promise<OpenedPicture> {
  const source = await openPicture({ data: new Uint8Array(width * height * 3).fill(128), width, height, channels: 3 });
  const preamble = { prompt: makePrompt({ chatTemplate: null, pictureMarkup: null, bosText: "", eosText: "", addBos: true }), tokens: new Int32Array(1), between: [], system: false };
  return new OpenedPicture(source, WIDE, VIEWS, { id: 1, tokens: 0, visionMs: 0, preamble });
}

test("a layout counts its cells row by column, and one view serves every picture of LLaVA", () => {
  expect(cellCount(WIDE)).toBe(288);
  expect(VIEWS.plan({ width: 10, height: 4000 })).toEqual(WIDE);
  expect(VIEWS.tokens).toEqual({ min: 288, max: 288 });
});

test("a grid alone has cells of 14 pixels, or squares as large as the longer side says", () => {
  expect(pixelsOfGrid({ width: 24, height: 12 })).toEqual({ width: 336, height: 168 });
  expect(pixelsOfGrid({ width: 24, height: 12 }, 384)).toEqual(WIDE.pixels);
  expect(pixelsOfGrid({ width: 12, height: 24 }, 384)).toEqual({ width: 192, height: 384 });
});

describe("the window of a view", () => {
  test.each([
    ["of the view's own proportions: the picture itself", [768, 384], [0, 0, 768, 384]],
    ["square: padded left and right", [400, 400], [-200, 0, 800, 400]],
    ["wider than the view: padded above and below", [1000, 100], [0, -200, 1000, 500]],
    ["with an odd rest after the picture", [101, 51], [0, 0, 102, 51]],
  ])("%s", (_, [width, height], [x, y, w, h]) => {
    expect(windowOfView({ width, height }, WIDE.pixels)).toEqual({ x, y, width: w, height: h });
  });

  test("of a square view is LLaVA's square, the odd pixel after the picture", () => {
    expect(windowOfView({ width: 7, height: 4 }, { width: 336, height: 336 })).toEqual({ x: 0, y: -1, width: 7, height: 7 });
    expect(windowOfView({ width: 3, height: 8 }, { width: 336, height: 336 })).toEqual({ x: -2, y: 0, width: 8, height: 8 });
  });
});

describe("24 x 12 cells", () => {
  // 4 x 4 cells in the third quarter from the left, the upper half; the picture fills the view at half its size
  const logits = logitsOf(WIDE, [14, 2, 18, 6]);

  test("boxes lie where the cells are in a picture of the view's proportions", () => {
    const { boxes, gridBoxes } = boxesFromMap(logits, { ...viewOfPicture(WIDE, { width: 768, height: 384 }), threshold: 0.3 });
    expect(gridBoxes).toEqual([[14, 2, 18, 6]]);
    expect(boxes).toEqual([{ x: 448, y: 64, width: 128, height: 128, score: expect.closeTo(1, 2) }]);
  });

  test("in a square picture the padding left and right is taken off", () => {
    // scale 192/400, padding 96 view pixels on the left: x = (14 * 16 - 96) / 0.48
    const { boxes } = boxesFromMap(logits, { ...viewOfPicture(WIDE, { width: 400, height: 400 }), threshold: 0.3 });
    expect(boxes).toEqual([{ x: 266, y: 66, width: 134, height: 134, score: expect.closeTo(1, 2) }]);
  });

  test("the default of 14 pixels a cell gives the same boxes, since only the proportions count here", () => {
    const sizes = { grid: WIDE.grid, image: { width: 768, height: 384 }, threshold: 0.3 };
    expect(boxesFromMap(logits, sizes)).toEqual(boxesFromMap(logits, { ...sizes, model: WIDE.pixels }));
  });

  test("a masked region keeps cells of the whole grid, row by row", () => {
    const two = logitsOf(WIDE, [2, 2, 6, 6], [18, 6, 22, 10]);
    const region = regionFromMap(two, { ...viewOfPicture(WIDE, { width: 768, height: 384 }), threshold: 0.3 });
    expect(region.kind).toBe("masked");
    expect(region.crop).toEqual({ x: 64, y: 64, width: 640, height: 256 });
    const keep = new Set(region.keep);
    // the foreground's two corners of the crop are kept, the other two are not
    expect([keep.has(0), keep.has(23), keep.has(11 * 24), keep.has(11 * 24 + 23)]).toEqual([true, false, false, true]);
    expect(Math.max(...keep)).toBeLessThan(288);
  });

  test("the peak region stays in the rows that show the picture", () => {
    // a picture eight times as wide as high: rows 4 to 7 of 12 show it, and the peak of the map lies in the padding
    const peak = peakRegion(logitsOf(WIDE, [3, 0, 6, 3], [20, 5, 21, 6]), viewOfPicture(WIDE, { width: 1600, height: 200 }));
    expect(peak.gridBoxes).toEqual([[19, 4, 22, 7]]);
  });

  /** The result of a network that gives these logits. */
  async function found(picture: OpenedPicture): Promise<RoI> {
    const timings = { vision: 0, prefill: 0, rpn: 0, generate: 0 };
    const told = { logits, most: null, sink: null, gate: null, timings, bytes: 0, reused: 0 };
    const engine = { requireRpn: () => ({ kind: "llava" }), roi: async () => told } as unknown as Engine;
    const asked = { picture, question: "", tokens: new Int32Array(0), threshold: 0.3, reserve: 0, gate: null, forAnswer: true };
    return regionResult("rpn", await proposeByNetwork(engine, asked), picture, new Clock().stop());
  }

  test("prediction and second look take the layout of the picture", async () => {
    const picture = await opened(768, 384);
    const { map, region, boxes } = await found(picture);
    expect(map).toMatchObject({ width: 24, height: 12 });
    expect(boxes).toHaveLength(1);
    expect(looksOfRegion(region)).toEqual([{ box: { x: 448, y: 64, width: 128, height: 128 }, keep: null, cells: null }]);
  });

  test("the overlay puts the heat over the same pixels as the box", async () => {
    const picture = await opened(768, 384);
    const roi = await found(picture);
    const drawn = await renderOverlay({ data: picture.source.pixels().data, width: 768, height: 384, channels: 3 }, { ...roi, boxes: [], region: { kind: "none", crop: null, keep: null } }, { model: WIDE.pixels });
    const { data } = (await openPicture(drawn)).pixels();
    const changed = (x: number, y: number): boolean => data[(y * 768 + x) * 3] !== 128;
    expect([changed(512, 128), changed(470, 85), changed(555, 170)]).toEqual([true, true, true]);
    expect([changed(380, 128), changed(512, 260), changed(650, 128), changed(128, 512 - 260)]).toEqual([false, false, false, false]);
  });
});
