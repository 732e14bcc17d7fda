// Pages of PDF files. What they show is written here operator by operator, so where each colour lies is arithmetic.
import sharp from "sharp";
import { openPicture } from "../../src/image/picture";
import { drawPage } from "../../src/image/pdf";
import { renderOverlay } from "../../src/image/overlay";
import { takePicture } from "../../src/image/taken-picture";
import type { ImageInput, ImageOptions } from "../../src/base/types";
import { pdfOf } from "../helpers/pdf";

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const WHITE = [255, 255, 255];

/** Red in the top left corner, 30 x 20 points; the second page is blue. */
const RED_CORNER = { width: 120, height: 90, content: "1 0 0 rg 0 70 30 20 re f" };
const BLUE_PAGE = { width: 60, height: 200, content: "0 0 1 rg 0 0 60 200 re f" };
const pdf = pdfOf([RED_CORNER, BLUE_PAGE]);

const open = (input: ImageInput, options: ImageOptions = {}, limits: { maxImagePixels?: number; signal?: AbortSignal } = {}) => openPicture(takePicture(input, options), limits);

async function colors(input: ImageInput, options: ImageOptions, ...places: [x: number, y: number][]): Promise<number[][]> {
  const { data, width } = (await open(input, options)).pixels();
  return places.map(([x, y]) => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)]);
}

describe("a page", () => {
  test("is drawn with as many pixels to the inch as were asked for, on white", async () => {
    for (const dpi of [72, 144, 300]) {
      const scale = dpi / 72;
      const picture = await open(pdf, { dpi });
      expect(picture.info).toEqual({ width: Math.round(120 * scale), height: Math.round(90 * scale), page: 0, pages: 2, rotated: 0, dpi });
      const inside: [number, number] = [Math.floor(30 * scale) - 2, Math.floor(20 * scale) - 2];
      expect(await colors(pdf, { dpi }, [0, 0], inside, [inside[0] + 4, 0], [0, inside[1] + 4])).toEqual([RED, RED, WHITE, WHITE]);
    }
  });

  test("has 200 pixels to the inch by default", async () => {
    expect((await open(pdf)).info).toMatchObject({ width: 333, height: 250, dpi: 200 }); // 120 and 90 * 200 / 72
  });

  test("is the one that was asked for, with its own size", async () => {
    expect((await open(pdf, { page: 1, dpi: 72 })).info).toMatchObject({ width: 60, height: 200, page: 1, pages: 2 });
    expect(await colors(pdf, { page: 1, dpi: 72 }, [0, 0], [59, 199])).toEqual([BLUE, BLUE]);
  });

  test("lies as its file says, and is turned further by rotate", async () => {
    const turned = pdfOf([{ ...RED_CORNER, extra: "/Rotate 90" }]); // clockwise: the corner comes to the top right
    expect((await open(turned, { dpi: 72 })).info).toMatchObject({ width: 90, height: 120 });
    expect(await colors(turned, { dpi: 72 }, [0, 0], [89, 0], [71, 28], [68, 0])).toEqual([WHITE, RED, RED, WHITE]);
    expect(await colors(turned, { dpi: 72, rotate: 90 }, [0, 0], [119, 89])).toEqual([WHITE, RED]);
  });

  test("shows what forms are filled with, and annotations", async () => {
    const appearance = "<< /Type /XObject /Subtype /Form /BBox [0 0 40 10] /Length 22 >>\nstream\n0 0 1 rg 0 0 40 10 re f\nendstream";
    const field = "<< /Type /Annot /Subtype /Widget /FT /Tx /T (total) /V (42) /F 4 /Rect [50 40 90 50] /AP << /N 100 0 R >> >>";
    const stamp = "<< /Type /Annot /Subtype /Stamp /F 4 /Rect [50 10 90 20] /AP << /N 100 0 R >> >>";
    const form = pdfOf([{ ...RED_CORNER, extra: "/Annots [101 0 R 102 0 R]" }], { objects: [appearance, field, stamp], catalog: "/AcroForm << /Fields [101 0 R] >>" });
    expect(await colors(form, { dpi: 72 }, [70, 45], [70, 75], [70, 60])).toEqual([BLUE, BLUE, WHITE]);
  });

  test("is read from every kind of input, whatever stands before its head", async () => {
    const behind = Buffer.concat([Buffer.from("\r\n\0\0 received: today\r\n"), pdf]);
    for (const input of [new Blob([pdf]), `data:application/pdf;base64,${pdf.toString("base64")}`, behind]) {
      expect(await colors(input, { dpi: 72 }, [0, 0], [119, 89])).toEqual([RED, WHITE]);
    }
  });

  test("is found again by renderOverlay, with the options of its result", async () => {
    const { info } = await open(pdf, { page: 1, dpi: 100 });
    const drawing = { map: { width: 2, height: 2, data: new Float32Array(4) }, boxes: [], region: { kind: "none" as const, crop: null, keep: null } };
    const read = async (png: Buffer) => sharp(png).raw().toBuffer({ resolveWithObject: true });
    const drawn = await read(await renderOverlay(pdf, { ...drawing, image: info }));
    expect(drawn.info).toMatchObject({ width: 83, height: 278 });
    expect([...drawn.data.subarray(0, 3)]).toEqual(BLUE);
    expect((await read(await renderOverlay(pdf, drawing, { dpi: 72 }))).info).toMatchObject({ width: 120, height: 90 });
    await expect(renderOverlay(pdf, { ...drawing, image: info }, { dpi: 72 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/Expected dpi 100.*received 72/) });
  });
});

describe("what is refused", () => {
  /** Encrypted, with keys that the empty password does not open. */
  const locked = pdfOf([RED_CORNER], { trailer: `/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${"41".repeat(32)}> /U <${"42".repeat(32)}> >>` });
  const small = { width: 2, height: 1, channels: 3 as const, data: new Uint8Array(6) };

  test.each<[string, ImageInput, ImageOptions, string, RegExp]>([
    ["a page that is not there", pdf, { page: 2 }, "INVALID_ARGUMENT", /a page from 0 to 1 but received 2/],
    ["a file with a password", locked, {}, "IMAGE_INVALID", /without a password.*qpdf --decrypt/],
    ["a file that ends early", pdf.subarray(0, 200), {}, "IMAGE_INVALID", /Cannot draw the PDF.*damaged/],
    ["a file without pages", pdfOf([]), {}, "IMAGE_INVALID", /no pages|damaged/],
    ["a page of no size that can be drawn", pdfOf([{ ...RED_CORNER, width: 60_000, height: 60_000 }]), {}, "IMAGE_TOO_LARGE", /sides of at most 32768 .*166667x166667.*lower dpi than 200/],
    ["more pixels than may be", pdfOf([{ ...RED_CORNER, width: 7200, height: 7200 }]), {}, "IMAGE_TOO_LARGE", /20000x20000.*lower dpi than 200 or raise maxImagePixels/],
    ["dpi of raw pixels", small, { dpi: 100 }, "INVALID_ARGUMENT", /no dpi for raw pixels.*received 100/],
  ])("%s", async (_, input, options, code, message) => {
    await expect(open(input, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await colors(pdf, { dpi: 72 }, [0, 0])).toEqual([RED]);
  });

  test("dpi of a picture with pixels of its own", async () => {
    const png = await sharp(small.data, { raw: { width: 2, height: 1, channels: 3 } }).png().toBuffer();
    await expect(open(png, { dpi: 100 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/no dpi for PNG/) });
  });

  test("more pixels than maxImagePixels, by one", async () => {
    await expect(open(pdf, { dpi: 72 }, { maxImagePixels: 120 * 90 - 1 })).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect((await open(pdf, { dpi: 72 }, { maxImagePixels: 120 * 90 })).width).toBe(120);
  });
});

describe("a page that takes long", () => {
  // a square of a size that fills the page, crossed forty thousand times
  const many = "0 0 m 3000 3000 l 0 3000 l 3000 0 l f ".repeat(40_000);
  const slow = pdfOf([{ width: 3000, height: 3000, content: `0 0 1 rg ${many}` }]);

  test("does not hold the event loop, and ends as soon as its call is aborted", async () => {
    const controller = new AbortController();
    let longest = 0;
    let last = performance.now();
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    setTimeout(() => controller.abort(new Error("enough")), 600);
    const begun = performance.now();
    const asked = open(slow, { dpi: 200 }, { signal: controller.signal }).finally(() => clearInterval(beat));
    await expect(asked).rejects.toMatchObject({ code: "ABORTED", cause: expect.objectContaining({ message: "enough" }) });
    expect(performance.now() - begun).toBeLessThan(3000);
    expect(longest).toBeLessThan(300);
    expect(await colors(pdf, { dpi: 72 }, [0, 0])).toEqual([RED]);
  });

  test("is given up", async () => {
    await expect(drawPage(slow, "slow.pdf", { page: 0, maxPixels: 1e8 }, 0.5)).rejects.toMatchObject({ code: "IMAGE_INVALID", message: expect.stringMatching(/slow\.pdf.*more than 0\.5 s/) });
  });

  test("is not begun where the call is aborted already", async () => {
    await expect(drawPage(pdf, "a.pdf", { page: 0, maxPixels: 1e8, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
  });
});
