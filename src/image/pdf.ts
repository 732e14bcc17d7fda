import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { throwIfAborted } from "../base/abort.js";
import { abortError, SdRpnError } from "../base/errors.js";
import type { Size } from "../base/types.js";
import type { Read } from "./decoded.js";
import { checkImageSize, checkPage } from "./limits.js";

/** Where nothing else is asked for: 8-point print is 22 pixels tall then, and a page of A4 has 3.9 million. */
export const DEFAULT_DPI = 200;

const POINTS_PER_INCH = 72;

/** A page that takes longer is one that was made to. */
const MOST_SECONDS = 60;

const INSTALL = "pages of PDF files are drawn by the package @hyzyla/pdfium, which is not installed: run npm install @hyzyla/pdfium";

export interface PageOptions {
  page: number;
  dpi?: number;
  maxPixels: number;
  signal?: AbortSignal;
}

/** What the thread sends: first the page's size in points, then its pixels; or what failed. */
type Sent = ({ pages: number } & Size) | { data: Uint8Array } | { failure: "missing" | "locked" | "memory" | "damaged"; message: string };

/**
 * Draws a page of a PDF on white, annotations and filled forms included. It is done by PDFium in a thread that ends with the page
 * (docs/decisions/103-pdf-pages.md); an abort ends it at once.
 *
 * @param name of the file in messages
 * @param seconds after which it is given up
 * @throws {SdRpnError} IMAGE_INVALID without the package, for files that are damaged or need a password, and after `seconds`;
 * INVALID_ARGUMENT for a page that is not there; IMAGE_TOO_LARGE before anything is drawn; OUT_OF_MEMORY; ABORTED
 */
export async function drawPage(bytes: Buffer, name: string, { page, dpi = DEFAULT_DPI, maxPixels, signal }: PageOptions, seconds = MOST_SECONDS): Promise<Read> {
  throwIfAborted(signal);
  // what it prints is for people who debug PDFium
  const worker = new Worker(join(__dirname, "pdf-worker.cjs"), { workerData: { bytes, page }, stdout: true, stderr: true });
  const next = receiver(worker, name, seconds, signal);
  try {
    const opened = (await next()) as { pages: number } & Size;
    if (opened.pages === 0) throw invalid(name, "it has no pages");
    checkPage(page, opened.pages);
    const size = sizeInPixels(opened, dpi, name, page);
    checkImageSize(size, maxPixels, `draw it with a lower dpi than ${dpi}`);
    worker.postMessage(size);
    const { data } = (await next()) as { data: Uint8Array };
    return { pixels: { data, ...size, channels: 4 }, pages: opened.pages, dpi, hints: [] };
  } finally {
    await worker.terminate();
  }
}

function sizeInPixels({ width, height }: Size, dpi: number, name: string, page: number): Size {
  // written so that NaN fails too
  if (!(width > 0 && height > 0 && Number.isFinite(width * height))) throw invalid(name, `page ${page} cannot be read`);
  const pixels = (points: number): number => Math.max(1, Math.round((points * dpi) / POINTS_PER_INCH));
  return { width: pixels(width), height: pixels(height) };
}

/** Waits for what the thread sends next. Its end, an abort and the time limit are errors. */
function receiver(worker: Worker, name: string, seconds: number, signal?: AbortSignal): () => Promise<Sent> {
  const ended = new Promise<never>((_, reject) => {
    const abort = (): void => reject(abortError(signal));
    const timer = setTimeout(() => reject(invalid(name, `its page took more than ${seconds} s to draw`)), seconds * 1000);
    signal?.addEventListener("abort", abort, { once: true });
    worker.once("error", (error: Error) => reject(invalid(name, error.message, error)));
    worker.once("exit", () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      reject(invalid(name, "its thread ended"));
    });
  });
  ended.catch(() => {}); // nobody waits once everything has been sent
  return async () => {
    const sent = await Promise.race([ended, new Promise<Sent>((resolve) => void worker.once("message", resolve))]);
    if ("failure" in sent) throw failureOf(sent, name);
    return sent;
  };
}

function failureOf({ failure, message }: Extract<Sent, { failure: string }>, name: string): SdRpnError {
  switch (failure) {
    case "missing":
      return new SdRpnError("IMAGE_INVALID", `Expected a picture that can be decoded but received PDF (${name}); ${INSTALL}`);
    case "locked":
      return new SdRpnError("IMAGE_INVALID", `Expected a PDF without a password but received one that needs it (${name}): save it without, for example with qpdf --decrypt`);
    case "memory":
      return new SdRpnError("OUT_OF_MEMORY", `Not enough memory to draw the page (${name}): ${message}; lower dpi`);
    case "damaged":
      return invalid(name, message);
  }
}

function invalid(name: string, reason: string, cause?: unknown): SdRpnError {
  return new SdRpnError("IMAGE_INVALID", `Cannot draw the PDF (${name}): ${reason}; the file may be damaged or truncated`, { cause });
}
