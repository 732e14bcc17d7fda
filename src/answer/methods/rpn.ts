import type { Gate, Region, ScoredBox } from "../../base/types.js";
import type { Engine } from "../../engine/engine.js";
import type { OpenedPicture } from "../../engine/opened-picture.js";
import type { NativeRoI } from "../../native/binding.js";
import { type EnclosingKind, enclosingRegion } from "../../roi/enclosing-region.js";
import type { GridBox } from "../../roi/components.js";
import { viewOfPicture } from "../../roi/options.js";
import { peakOf } from "../../roi/peak-region.js";
import { readMap } from "../../roi/propose-region.js";
import { sigmoid } from "../../roi/sigmoid.js";
import type { Asked, Proposed } from "./method.js";

/** Above so many tokens SD-RPN's networks for Qwen2.5-VL drop tokens of the picture, too, when they look again. */
const PRUNED_ABOVE = 1024;
/** Those that no token of the question gives a probability above this. */
const PRUNED_UNDER = 0.01;
/** Cells whose probability of being a sink reaches this are sinks (Q-Zoom for Qwen3-VL). */
const SINK = 0.75;

/** What the network says of a question, before any threshold. */
export interface NetworkMap {
  /** probabilities, one per cell of the picture's view, row-major */
  map: Float32Array;
  /** where the network says it itself: false for cells that are sinks */
  sinkKeep: boolean[] | undefined;
  /** the picture's cells that a second look leaves in the prompt, ascending; null: all */
  pruned: Int32Array | null;
}

/** The region proposal network: layers 0..K-1 over the prompt, then the network (SD-RPN, arXiv 2509.16944, section 3). */
export async function proposeByNetwork(engine: Engine, { picture, tokens, threshold, reserve, gate, forAnswer, signal }: Asked): Promise<Proposed> {
  const { kind } = engine.requireRpn();
  const cells = picture.layout.grid.width * picture.layout.grid.height;
  const everyToken = forAnswer && kind === "sdrpn-qwen" && cells > PRUNED_ABOVE;
  const told = await engine.roi(picture.session.id, tokens, { reserve, gate, everyToken }, signal);
  const { timings, bytes, reused } = told;
  const said: Gate | null = told.gate === null || gate === null ? null : { score: told.gate, threshold: gate, passed: told.logits !== null };
  const asked = mapOf(told, cells);
  const { boxes, region, cells: box } = told.logits === null ? NOTHING : regionOfMap(engine, picture, asked, threshold ?? engine.defaultThreshold);
  const view = viewOfPicture(picture.layout, picture.source);
  const likeliest = () => {
    const peak = peakOf(withoutSinks(asked), view);
    return { region: peak.region, cells: peak.gridBoxes[0] };
  };
  return { map: asked.map, boxes, region, cells: box, pruned: box && asked.pruned, likeliest, gate: said, timings, bytes, reused };
}

const NOTHING = { boxes: [], region: { kind: "none", crop: null, keep: null }, cells: null } as const satisfies ReturnType<typeof regionOfMap>;

/** What the native core says of a question in the form that region rules read; all 0 where the network was not asked. */
export function mapOf({ logits, most, sink }: NativeRoI, cells: number): NetworkMap {
  const kept = most && [...sigmoid(most).entries()].filter(([, probability]) => probability > PRUNED_UNDER).map(([cell]) => cell);
  return {
    map: logits ? sigmoid(logits) : new Float32Array(cells),
    sinkKeep: sink ? Array.from(sigmoid(sink), (probability) => probability < SINK) : undefined,
    pruned: kept && kept.length < cells ? Int32Array.from(kept) : null,
  };
}

/** The region of a map by the rule of the network's kind; `cells` is where it lies in the map. */
export function regionOfMap(
  engine: Engine,
  { layout, source, views }: OpenedPicture,
  { map, sinkKeep }: NetworkMap,
  threshold: number,
): { boxes: ScoredBox[]; region: Region; cells: GridBox | null } {
  const { kind } = engine.requireRpn();
  if (kind === "llava") {
    const { boxes, region, gridBoxes } = readMap(map, { ...viewOfPicture(layout, source), threshold });
    return { boxes, region, cells: gridBoxes[0] ?? null };
  }
  const image = { width: source.width, height: source.height };
  const { boxes, region, gridBoxes } = enclosingRegion(map, { kind: kind satisfies EnclosingKind, grid: layout.grid, image, threshold, budget: views.budget!, sinkKeep });
  return { boxes, region, cells: gridBoxes[0] ?? null };
}

function withoutSinks({ map, sinkKeep }: NetworkMap): Float32Array {
  return sinkKeep ? map.map((value, cell) => (sinkKeep[cell] ? value : 0)) : map;
}
