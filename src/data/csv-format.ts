import { dataInvalid } from "../base/errors.js";
import type { Entry, LogFormat } from "./append-log.js";
import { csvLine, readCsv } from "./csv.js";

/**
 * A table in CSV, whose first line names its columns and whose first column is the id. Line ends in fields are no ends of entries: a
 * torn entry is told by its quotes.
 *
 * @param row the fields of an entry, one a column
 */
export function csvFormat(columns: readonly string[], row: (entry: Entry) => string[], name: string): LogFormat {
  return {
    head: csvLine(columns),
    text: (entry) => csvLine(row(entry)),
    read: async (file, _handle, signal) => {
      const ids = new Set<string>();
      let size = 0;
      for await (const { fields, line, end } of readCsv(file, signal)) {
        const place = { file, line, column: 1 };
        if (size === 0 && fields.join() !== columns.join()) {
          throw dataInvalid(place, `Expected the columns ${columns.join()} of the ${name} but received ${fields.join().slice(0, 200)}: give the path of another file`);
        }
        if (fields.length !== columns.length) {
          throw dataInvalid(place, `Expected ${columns.length} fields but received ${fields.length}`);
        }
        if (ids.has(fields[0])) {
          throw dataInvalid(place, `Expected each id once but ${fields[0]} occurs twice in the ${name}`);
        }
        if (size > 0) {
          ids.add(fields[0]);
        }
        size = end;
      }
      return { ids, size };
    },
  };
}
