import type { Box } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { Setting } from "../engine/preamble.js";
import type { Picture } from "../image/picture.js";
import type { NativeTimings } from "../native/binding.js";
import { mergeRegions, type WindowRegion } from "../roi/merge-regions.js";
import { viewOfPicture } from "../roi/options.js";
import { stitchMaps, type WindowMap } from "../roi/stitch-maps.js";
import type { Clock } from "./clock.js";
import type { Asked, Proposed } from "./methods/method.js";
import { proposeByNetwork } from "./methods/rpn.js";
import type { SeenMap } from "./region-result.js";

/** What the network says of windows of a picture, each asked by itself. */
export type TiledProposal = Proposed & { seen: SeenMap };

type Asking = Pick<Asked, "question" | "tokens" | "threshold" | "gate" | "signal">;

interface Window extends WindowRegion, WindowMap {
  proposed: Proposed;
}

/**
 * The region of a question in a picture that is too tall, wide or large for one view: the network is asked in each window, whose view and
 * state stay in the session cache as those of pictures do, and what it finds is merged.
 *
 * @param boxes equal windows of the picture, in whole pixels
 */
export async function proposeInTiles(engine: Engine, source: Picture, boxes: readonly Box[], setting: Setting, asked: Asking, clock: Clock): Promise<TiledProposal> {
  const windows: Window[] = [];
  const layout = setting.views.plan(boxes[0]);
  for (const window of boxes) {
    const used = await engine.useDecoded(source.part(window), asked.signal, setting);
    clock.add(used);
    let bytes = 0;
    try {
      const proposed = await proposeByNetwork(engine, { ...asked, picture: used.picture, reserve: 0, forAnswer: false });
      bytes = proposed.bytes;
      windows.push({ window, proposed, map: proposed.map, boxes: proposed.boxes, region: proposed.region });
    } finally {
      used.release(bytes);
    }
  }
  const { map, grid } = stitchMaps(source, viewOfPicture(layout, boxes[0]), windows);
  const tiles = windows.map(({ window, proposed: { region, gate } }) => ({ box: window, found: region.kind !== "none", gate }));
  return {
    ...mergeRegions(windows),
    map,
    seen: { grid, layout, tiles },
    cells: null,
    pruned: null,
    likeliest: () => likeliest(windows),
    gate: windows.map(({ proposed }) => proposed.gate).reduce((a, b) => (a && b && b.score > a.score ? b : a)),
    timings: windows.map(({ proposed }) => proposed.timings).reduce(sum),
    bytes: 0,
    reused: windows.reduce((total, { proposed }) => total + proposed.reused, 0),
  };
}

/** That of the window with the greatest probability. */
function likeliest(windows: readonly Window[]): ReturnType<Proposed["likeliest"]> {
  const greatest = ({ map }: WindowMap) => map.reduce((a, b) => Math.max(a, b), 0);
  const { window, proposed } = windows.reduce((a, b) => (greatest(b) > greatest(a) ? b : a));
  const { region } = proposed.likeliest();
  return { region: mergeRegions([{ window, boxes: [], region }]).region, cells: null };
}

function sum(a: NativeTimings, b: NativeTimings): NativeTimings {
  return { vision: a.vision + b.vision, prefill: a.prefill + b.prefill, rpn: a.rpn + b.rpn, generate: a.generate + b.generate };
}
