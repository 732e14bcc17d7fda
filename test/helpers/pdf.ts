import { deflateSync } from "node:zlib";

/** A page in points, 72 to the inch, with y from the bottom up as PDF has it. */
export interface PdfPage {
  width: number;
  height: number;
  /** operators that draw it, such as "1 0 0 rg 10 20 30 40 re f": a red rectangle; "/Im" is the image */
  content: string;
  image?: { width: number; height: number; jpeg: Buffer } | { width: number; height: number; rgb: Uint8Array };
  /** more entries of its dictionary */
  extra?: string;
}

/** A picture that fills a page, so that drawn at `dpi` its pixels are the page's. */
export function pageOf(image: NonNullable<PdfPage["image"]>, dpi: number): PdfPage {
  const [width, height] = [(image.width * 72) / dpi, (image.height * 72) / dpi];
  return { width, height, content: `${width} 0 0 ${height} 0 0 cm /Im Do`, image };
}

/** A PDF file of these pages. `objects` are more of them, with numbers from 100 on; `catalog` and `trailer` are more entries of theirs. */
export function pdfOf(pages: readonly PdfPage[], { objects = [], catalog = "", trailer = "" }: { objects?: string[]; catalog?: string; trailer?: string } = {}): Buffer {
  const bodies = new Map<number, Buffer>();
  const add = (number: number, ...parts: (string | Buffer | Uint8Array)[]): void => {
    bodies.set(number, Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part))));
  };
  const stream = (number: number, entries: string, data: Uint8Array): void => add(number, `<< ${entries} /Length ${data.length} >>\nstream\n`, data, "\nendstream");
  add(1, `<< /Type /Catalog /Pages 2 0 R ${catalog} >>`);
  add(2, `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, i) => `${3 + 3 * i} 0 R`).join(" ")}] >>`);
  for (const [i, { width, height, content, image, extra = "" }] of pages.entries()) {
    const at = 3 + 3 * i;
    const resources = image ? `/XObject << /Im ${at + 2} 0 R >>` : "";
    add(at, `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${width} ${height}] /Resources << ${resources} >> /Contents ${at + 1} 0 R ${extra} >>`);
    stream(at + 1, "", Buffer.from(content));
    if (image) {
      const [filter, data] = "jpeg" in image ? ["DCTDecode", image.jpeg] : ["FlateDecode", deflateSync(image.rgb)];
      stream(at + 2, `/Type /XObject /Subtype /Image /Width ${image.width} /Height ${image.height} /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /${filter}`, data);
    }
  }
  objects.forEach((body, i) => add(100 + i, body));

  const parts = [Buffer.from("%PDF-1.7\n")];
  let length = parts[0].length;
  const entries: string[] = [];
  for (const [number, body] of bodies) {
    const object = Buffer.concat([Buffer.from(`${number} 0 obj\n`), body, Buffer.from("\nendobj\n")]);
    entries.push(`${number} 1\n${String(length).padStart(10, "0")} 00000 n \n`);
    parts.push(object);
    length += object.length;
  }
  const size = Math.max(...bodies.keys()) + 1;
  const end = `xref\n0 1\n0000000000 65535 f \n${entries.join("")}trailer\n<< /Size ${size} /Root 1 0 R ${trailer} >>\nstartxref\n${length}\n%%EOF\n`;
  return Buffer.concat([...parts, Buffer.from(end)]);
}
