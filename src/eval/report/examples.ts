import type { Prediction } from "../prediction.js";
import { RIGHT_FROM } from "./summary.js";

/** An item that at least one method has won or lost against one view. */
export interface Example {
  /** the item's position in the lists of predictions */
  position: number;
  /** names of methods */
  won: string[];
  lost: string[];
}

/**
 * The items worth looking at: those won and lost by the methods, alternating so that each method shows both within the
 * limit; in the order of the data. Without `none` no item is won or lost.
 */
export function pickExamples(predictions: ReadonlyMap<string, readonly Prediction[]>, limit: number): { shown: Example[]; total: number } {
  const base = predictions.get("none");
  if (!base) {
    return { shown: [], total: 0 };
  }
  const right = ({ score }: Prediction): boolean => score !== null && score >= RIGHT_FROM;
  const examples = new Map<number, Example>();
  const queues: number[][] = [];
  for (const [name, rows] of predictions) {
    for (const kind of ["lost", "won"] as const) {
      const queue = rows.flatMap((row, position) => (right(row) !== right(base[position]) && right(row) === (kind === "won") ? [position] : []));
      for (const position of queue) {
        const example = examples.get(position) ?? { position, won: [], lost: [] };
        example[kind].push(name);
        examples.set(position, example);
      }
      queues.push(queue);
    }
  }
  const shown = new Set<number>();
  for (let before = -1; shown.size < limit && shown.size > before; ) {
    before = shown.size;
    for (const queue of queues) {
      const next = queue.find((position) => !shown.has(position));
      if (next !== undefined && shown.size < limit) {
        shown.add(next);
      }
    }
  }
  return { shown: [...shown].sort((a, b) => a - b).map((position) => examples.get(position)!), total: examples.size };
}
