import { EM, GLYPHS } from "./glyphs.js";

export interface TextStyle {
  /** in pixels */
  size: number;
  color: string;
  /** which point of the text is at x; default start */
  anchor?: "start" | "middle" | "end";
  /** upwards, for the label of a vertical axis */
  vertical?: boolean;
}

const UNKNOWN = "?";

/** Width in pixels. Characters without an outline are shown as a question mark. */
export function textWidth(text: string, size: number): number {
  const advance = [...text].reduce((sum, char) => sum + glyph(char)[0], 0);
  return (advance * size) / EM;
}

/** Text as outlines, an SVG element: looks the same everywhere, also where no font is installed. y is the baseline. */
export function svgText(text: string, x: number, y: number, { size, color, anchor = "start", vertical = false }: TextStyle): string {
  const width = textWidth(text, size);
  const start = anchor === "start" ? 0 : anchor === "middle" ? -width / 2 : -width;
  let at = (start * EM) / size;
  let path = "";
  for (const char of text) {
    const [advance, outline] = glyph(char);
    if (outline !== "") {
      path += `M${Math.round(at)} 0${outline}`;
    }
    at += advance;
  }
  const turn = vertical ? " rotate(-90)" : "";
  return `<path transform="translate(${round(x)} ${round(y)})${turn} scale(${round(size / EM, 5)})" fill="${color}" d="${path}"/>`;
}

function glyph(char: string): readonly [advance: number, path: string] {
  return GLYPHS[char] ?? GLYPHS[UNKNOWN];
}

/** Coordinates with no more digits than a picture shows. */
export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
