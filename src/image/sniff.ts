/** The format of a file, from its first bytes. */
export interface Sniffed {
  /** the format's usual name */
  name: string;
  /** null where it can be decoded; else advice on what to do with such a file, as the end of a sentence */
  advice: string | null;
}

/** How many bytes {@link sniff} needs; fewer if the file is shorter. */
export const SNIFF_LENGTH = 4096;

const CONVERT = "convert it to PNG or JPEG first, for example with ImageMagick: magick INPUT output.png";
const RASTERIZE = "it does not consist of pixels: rasterize it to PNG first, at a resolution at which its small print is readable";
const FIRST_FRAME = "extract a frame first, for example with ffmpeg: ffmpeg -i INPUT -frames:v 1 frame.png";

/** Formats known by bytes at a fixed offset; `.` in a signature stands for any byte. Of BMP also the length of its header is told, which is below 256. */
const SIGNATURES: readonly [signature: string, name: string, advice: string | null][] = [
  ["\xff\xd8\xff", "JPEG", null],
  ["\x89PNG\r\n\x1a\n", "PNG", null],
  ["GIF87a", "GIF", null],
  ["GIF89a", "GIF", null],
  ["RIFF....WEBP", "WebP", null],
  ["II*\0", "TIFF", null],
  ["MM\0*", "TIFF", null],
  ["II+\0", "TIFF", null],
  ["MM\0+", "TIFF", null],
  ["%PDF", "PDF", null],
  ["%!PS", "PostScript", RASTERIZE],
  ["BM.............\0\0\0", "BMP", null],
  ["\0\0\x01\0", "ICO", null],
  ["8BPS", "Photoshop", CONVERT],
  ["\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", CONVERT],
  ["\xff\x0a", "JPEG XL", CONVERT],
  ["\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", CONVERT],
  ["\xff\x4f\xff\x51", "JPEG 2000", CONVERT],
  ["v/1\x01", "OpenEXR", CONVERT],
  ["#?RADIANCE", "Radiance HDR", CONVERT],
  ["qoif", "QOI", CONVERT],
  ["\x1a\x45\xdf\xa3", "Matroska or WebM video", FIRST_FRAME],
  ["RIFF....AVI ", "AVI video", FIRST_FRAME],
];

/** A PDF may have as many bytes of something else before it, such as a mail's header. */
const PDF_HEAD = 1024;

const READABLE = "JPEG, PNG, WebP, GIF, TIFF, AVIF, BMP, ICO or PDF";

/**
 * Tells the format of an encoded picture from its first bytes. Formats that are not known to be decodable are refused by
 * name and not given to a decoder: decoders' messages do not say what to do, and document formats such as SVG would be
 * rasterized at an arbitrary resolution.
 */
export function sniff(head: Uint8Array): Sniffed {
  // latin1 maps each byte to one character, so that signatures can be compared as strings.
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, SNIFF_LENGTH)).toString("latin1");
  const match = SIGNATURES.find(([signature]) => startsWith(text, signature));
  if (match !== undefined) return { name: match[1], advice: match[2] };
  if (text.slice(4, 8) === "ftyp") return sniffIsoMedia(text);
  if (/^(\xef\xbb\xbf)?\s*</.test(text) && /<svg[\s>]/i.test(text)) return { name: "SVG", advice: RASTERIZE };
  if (text.slice(0, PDF_HEAD).includes("%PDF-")) return { name: "PDF", advice: null };
  const isText = !/[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text);
  return { name: isText ? "a text file" : "an unknown format", advice: `use a picture in ${READABLE}` };
}

/** AVIF, HEIC and MP4 share one container and differ by the brands that its first box lists. */
function sniffIsoMedia(text: string): Sniffed {
  const boxLength = Math.min(text.length, Math.max(16, readUint32(text, 0)));
  const brands = [text.slice(8, 12)];
  for (let at = 16; at + 4 <= boxLength; at += 4) brands.push(text.slice(at, at + 4));
  if (brands.some((brand) => brand === "avif" || brand === "avis")) return { name: "AVIF", advice: null };
  if (brands.some((brand) => /^(hei[cmsx]|hev[cmsx]|mif1|msf1)$/.test(brand))) return { name: "HEIC", advice: CONVERT };
  return { name: "MP4 or QuickTime video", advice: FIRST_FRAME };
}

function readUint32(text: string, at: number): number {
  return text.slice(at, at + 4).split("").reduce((value, byte) => value * 256 + byte.charCodeAt(0), 0);
}

function startsWith(text: string, signature: string): boolean {
  if (text.length < signature.length) return false;
  return [...signature].every((byte, i) => byte === "." || byte === text[i]);
}
