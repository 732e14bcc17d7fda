import type { RoI } from "../base/types.js";
import type { Engine } from "../engine/engine.js";
import { OpenedPicture } from "../engine/opened-picture.js";
import type { TakenPicture } from "../image/taken-picture.js";
import { tileWindows } from "../roi/tile-windows.js";
import { Clock } from "./clock.js";
import { chooseMethod, METHODS } from "./methods/choose-method.js";
import type { CheckedPredictOptions } from "./options.js";
import { regionResult } from "./region-result.js";
import { gateOf, tilesOf, viewsOfCall } from "./settings.js";
import { proposeInTiles } from "./tiles.js";

/** The region of a question, by the method of the options or that of what was loaded. */
export async function predictRegion(engine: Engine, picture: TakenPicture | OpenedPicture, question: string, options: CheckedPredictOptions): Promise<RoI> {
  const method = chooseMethod(engine, options);
  const gate = gateOf(engine, options.gate, method, "auto");
  const tiles = tilesOf(options.tiles, method);
  const views = viewsOfCall(engine, picture, options);
  const { threshold, signal } = options;
  const clock = new Clock();
  const setting = { views, preamble: await engine.preambleOf(picture, options.system, signal) };
  const tokens = await engine.tokenize(question, 0, signal, setting);
  engine.checkUsable(picture);
  const asked = { question, tokens, threshold, gate, signal };
  const source = picture instanceof OpenedPicture ? picture.source : await clock.decode(() => engine.decode(picture, signal));
  const windows = tiles === undefined ? [] : tileWindows(source, tiles);
  if (windows.length > 1) {
    const proposed = await proposeInTiles(engine, source, windows, setting, asked, clock);
    clock.addNative(proposed.timings);
    return regionResult(method, proposed, { source, layout: views.plan(source), views }, clock.stop());
  }
  const used = picture instanceof OpenedPicture ? await engine.usePicture(picture, signal, setting) : await engine.useDecoded(source, signal, setting);
  clock.add(used);
  let bytes = 0;
  try {
    const proposed = await METHODS[method](engine, { ...asked, picture: used.picture, reserve: 0, forAnswer: false });
    bytes = proposed.bytes;
    clock.addNative(proposed.timings);
    return regionResult(method, proposed, used.picture, clock.stop());
  } finally {
    used.release(bytes);
  }
}
