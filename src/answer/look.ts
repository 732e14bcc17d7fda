import type { Hint } from "../base/hints.js";
import type { RoI } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import type { OpenedPicture } from "../engine/opened-picture.js";
import { cellCount } from "../image/view-layout.js";
import type { NativeView } from "../native/binding.js";
import type { Clock } from "./clock.js";
import { METHODS } from "./methods/choose-method.js";
import type { Asked } from "./methods/method.js";
import type { CheckedAnswerOptions } from "./options.js";
import { printHints } from "./print-hints.js";
import { regionResult } from "./region-result.js";
import { cutViews, type Look, looksAtBoxes, looksOfRegion } from "./second-look.js";
import { proposeInTiles } from "./tiles.js";
import { tileWindows } from "../roi/tile-windows.js";

/** What an answer reads of one picture. */
export interface Looked {
  /** null where no region was looked for */
  roi: RoI | null;
  /** second looks */
  views: NativeView[];
  /** about the picture, and how much of it is seen */
  hints: Hint[];
  /** of the picture's view */
  imageTokens: number;
  /** the picture's session with some of its cells only, to be dropped by the caller; null: all are read */
  pruned: number | null;
  /** what keeping the picture's session costs now; 0: unchanged */
  bytes: number;
  /** tokens of the region's prompt whose state was there already */
  reused: number;
}

type Asking = Omit<Asked, "picture"> & {
  method: keyof typeof METHODS | null;
  aligned: boolean;
  tiles: CheckedAnswerOptions["tiles"];
  roi: CheckedAnswerOptions["roi"];
  onRoI?: (roi: RoI) => void;
};

/** Looks for a question's region in a picture, and cuts out what a second look reads: that, or the caller's boxes. */
export async function lookAt(engine: Engine, picture: OpenedPicture, { method, aligned, tiles, roi: wanted, onRoI, ...asked }: Asking, clock: Clock): Promise<Looked> {
  const looked: Looked = { roi: null, views: [], hints: [], imageTokens: cellCount(picture.layout), pruned: null, bytes: 0, reused: 0 };
  let looks: Look[] = [];
  if (method) {
    const windows = tiles === undefined ? [] : tileWindows(picture.source, tiles);
    const setting = { views: picture.views, preamble: picture.session.preamble };
    const proposed = windows.length > 1 ? await proposeInTiles(engine, picture.source, windows, setting, asked, clock) : await METHODS[method](engine, { picture, ...asked });
    clock.addNative(proposed.timings);
    const { region, cells } = wanted === "always" && proposed.region.kind === "none" ? proposed.likeliest() : proposed;
    looked.roi = regionResult(method, proposed, picture, clock.stop(), region);
    looked.bytes = proposed.bytes;
    looked.reused = proposed.reused;
    looks = looksOfRegion(region, cells);
    if (proposed.pruned) {
      looked.pruned = await engine.prunedSession(picture.session.id, proposed.pruned, asked.signal);
      looked.imageTokens = proposed.pruned.length;
    }
    onRoI?.(looked.roi);
  } else if (Array.isArray(wanted)) {
    looks = looksAtBoxes(wanted, picture);
  }
  looked.hints = [...picture.source.hints, ...printHints(picture, looks.map(({ box }) => box))];
  try {
    return { ...looked, views: await clock.crop(() => cutViews(picture, looks, aligned, asked.signal)) };
  } catch (error) {
    if (looked.pruned !== null) {
      engine.dropSession(looked.pruned);
    }
    throw error;
  }
}
