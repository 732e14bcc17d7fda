import { writeFileSync } from "node:fs";

interface Element {
  name: string;
  type?: string;
  converted_type?: string;
  repetition_type?: string;
  num_children?: number;
}

/** What a column holds: text, lists of text, bytes, whole numbers, pictures as Hugging Face exports them (bytes and path). */
export type ColumnKind = "text" | "texts" | "bytes" | "integer" | "picture";

export interface Column {
  name: string;
  kind: ColumnKind;
  data: unknown[];
}

/** Writes a Parquet file like an export; `rowGroupSize` in rows. */
export async function writeParquet(file: string, columns: Column[], rowGroupSize = 2): Promise<void> {
  const { parquetWriteBuffer } = (await import("hyparquet-writer")) as unknown as { parquetWriteBuffer(options: object): ArrayBuffer };
  const buffer = parquetWriteBuffer({
    schema: [{ name: "root", num_children: columns.length }, ...columns.flatMap(elements)],
    columnData: columns.map(({ name, data }) => ({ name, data })),
    rowGroupSize,
  });
  writeFileSync(file, new Uint8Array(buffer));
}

function elements({ name, kind }: Column): Element[] {
  const optional = { repetition_type: "OPTIONAL" };
  const text = { type: "BYTE_ARRAY", converted_type: "UTF8", ...optional };
  switch (kind) {
    case "text":
      return [{ name, ...text }];
    case "bytes":
      return [{ name, type: "BYTE_ARRAY", ...optional }];
    case "integer":
      return [{ name, type: "INT64", ...optional }];
    case "texts":
      return [
        { name, converted_type: "LIST", num_children: 1, ...optional },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        { name: "element", ...text },
      ];
    case "picture":
      return [
        { name, num_children: 2, ...optional },
        { name: "bytes", type: "BYTE_ARRAY", ...optional },
        { name: "path", ...text },
      ];
  }
}
