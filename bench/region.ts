import type { Size } from "#lib/base/types.js";
import type { Engine } from "#lib/engine/engine.js";

/** Where the second look goes in every measurement, as shares of the picture. */
const REGION = { left: 0.375, top: 0.5, right: 0.625, bottom: 0.75 };

/** Logits of a map with one clear region, which `regionFromMap` makes a crop of. */
export function regionLogits({ width, height }: Size): Float32Array {
  const logits = new Float32Array(width * height).fill(-8);
  const rows = [Math.round(REGION.top * height), Math.round(REGION.bottom * height)];
  const columns = [Math.round(REGION.left * width), Math.round(REGION.right * width)];
  for (let y = rows[0]; y < rows[1]; y++) {
    logits.fill(6, y * width + columns[0], y * width + columns[1]);
  }
  return logits;
}

/**
 * Makes an engine measurable: whatever the network says, the region is the same, and no answer ends before its last
 * token. All work is still done; the map is replaced after it was computed.
 */
export function fixRegionAndLength(engine: Engine): void {
  const roi = engine.roi.bind(engine);
  const answer = engine.answer.bind(engine);
  engine.roi = async (...args) => ({ ...(await roi(...args)), logits: regionLogits(engine.info.vision.grid) });
  engine.answer = (session, question, views, params, ...rest) => answer(session, question, views, { ...params, ignoreEos: true }, ...rest);
}
