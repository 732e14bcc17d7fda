import type { AppendLog } from "./append-log.js";

export interface ContinueOptions<Item, Entry extends Record<string, unknown>> {
  log: AppendLog;
  items: readonly Item[];
  /** the id that the item's entry has in the log */
  idOf: (item: Item) => string;
  /** makes the entries of items, in any order; called once, with those that the log does not have */
  work: (todo: readonly Item[]) => AsyncIterable<Entry>;
  /** called for every new entry once it is in the file */
  onEntry?: (entry: Entry, done: number) => void;
}

/**
 * Brings a log up to its items, each of which gets one entry, however often the process is killed on the way: what it has is
 * not made again. Labels, evaluations and batches all go on in this way.
 *
 * @param onStart receives how many of the items the log has already
 */
export async function continueLog<Item, Entry extends Record<string, unknown>>(
  { log, items, idOf, work, onEntry }: ContinueOptions<Item, Entry>,
  onStart?: (done: number) => void,
): Promise<void> {
  const todo = items.filter((item) => !log.ids.has(idOf(item)));
  let done = items.length - todo.length;
  onStart?.(done);
  for await (const entry of work(todo)) {
    await log.append(entry);
    onEntry?.(entry, ++done);
  }
}
