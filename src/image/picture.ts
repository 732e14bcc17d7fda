import { SdRpnError } from "../base/errors.js";
import type { Hint } from "../base/hints.js";
import type { Box, ImageInfo, ImageInput, Size } from "../base/types.js";
import { decode } from "./decode.js";
import { DEFAULT_MAX_IMAGE_PIXELS } from "./limits.js";
import { toOpaque } from "./opaque.js";
import { resample, type Color, type Filter, type RgbPixels } from "./resample.js";
import { scaleAxes } from "./scale-axes.js";
import { runSharp } from "./sharp-queue.js";
import { readSource } from "./source.js";
import { TakenPicture, takePicture } from "./taken-picture.js";
import { windowOfView } from "./view-layout.js";

/** A decoded picture at full resolution; its size is the one after EXIF rotation and the turn that was asked for. */
export interface Picture extends Size {
  /** what results say of it; its size is the one before that turn */
  readonly info: ImageInfo;
  /** what makes wrong answers about it likely */
  readonly hints: readonly Hint[];
  /**
   * The whole picture, scaled bicubically, in the middle of a view of `size`; the rest of the view has the colour `fill`:
   * the model's first look (with a square view LLaVA's expand2square and CLIP's resize).
   *
   * @returns RGB, width * height * 3 bytes
   */
  view(size: Size, fill: Color): Promise<Buffer>;
  /**
   * The whole picture scaled bicubically to each of the sizes in turn, its proportions not kept, the axes in the order of {@link scaleAxes}
   * (Qwen-VL's processors).
   *
   * @returns RGB of the last size
   */
  stretched(sizes: readonly Size[]): Promise<Uint8Array>;
  /**
   * The pixels under `box` scaled to `size`, their aspect ratio not kept: the model's second look; bilinearly for LLaVA, bicubically, the axes
   * in the order of {@link scaleAxes}, for Qwen-VL. The box is clipped to the picture and cut to whole pixels.
   *
   * @returns RGB, width * height * 3 bytes
   * @throws SdRpnError `INVALID_ARGUMENT` if no whole pixel of the picture is in the box
   */
  crop(box: Box, size: Size, filter?: Filter): Promise<Uint8Array>;
  /** The pixels under a box, which is in whole pixels and inside, as a picture of its own. Those of whole rows are not copied. */
  part(box: Box): Picture;
  /** The picture itself, not a copy: read only. */
  pixels(): RgbPixels;
}

/**
 * Reads and decodes a picture once, to RGB at full resolution, on libuv's thread pool, in turn with other pictures (see
 * {@link runSharp}). EXIF orientation is applied, transparency laid on white unless the options say otherwise, and colour profiles are ignored; of animations and
 * multi-page files the first picture counts; 16 bits a channel become 8, and floats of 0..1 become 0..255.
 *
 * @throws SdRpnError `INVALID_ARGUMENT` if `input` is no ImageInput; `IMAGE_INVALID` for a missing file, bytes that cannot
 * be decoded completely, and raw pixels whose length is not width x height x channels; `IMAGE_TOO_LARGE` over
 * `maxImagePixels` (default 100 million) or with a side over 32,768; both are checked in the header before anything is decoded;
 * `ABORTED` at once while it waits for its turn, and after the decoding where that has begun
 */
export async function openPicture(picture: ImageInput | TakenPicture, options: { maxImagePixels?: number; signal?: AbortSignal } = {}): Promise<Picture> {
  const maxPixels = options.maxImagePixels ?? DEFAULT_MAX_IMAGE_PIXELS;
  const { input, options: reading } = picture instanceof TakenPicture ? picture : takePicture(picture, {}, options.signal);
  const { page = 0, dpi, rotate: rotated = 0 } = reading;
  const source = await readSource(input);
  const work = async () => {
    const decoded = await decode(source, { page, dpi, maxPixels, signal: options.signal });
    return { decoded, pixels: await toOpaque(decoded.pixels, reading) };
  };
  const { decoded, pixels } = await runSharp(work, options.signal);
  const { width, height } = decoded.pixels;
  const info = { width, height, page, pages: decoded.pages, rotated };
  return new DecodedPicture(pixels, decoded.dpi === undefined ? info : { ...info, dpi: decoded.dpi }, decoded.hints);
}

class DecodedPicture implements Picture {
  readonly width: number;
  readonly height: number;

  constructor(
    private readonly rgb: RgbPixels,
    readonly info: ImageInfo,
    readonly hints: readonly Hint[],
  ) {
    this.width = rgb.width;
    this.height = rgb.height;
  }

  view(size: Size, fill: Color): Promise<Buffer> {
    return resample(this.rgb, windowOfView(this, size), size, "bicubic", fill);
  }

  async stretched(sizes: readonly Size[]): Promise<Uint8Array> {
    let last: RgbPixels = this.rgb;
    for (const { width, height } of sizes) {
      if (width !== last.width || height !== last.height) {
        last = await scaleAxes(last, { x: 0, y: 0, width: last.width, height: last.height }, { width, height }, "bicubic");
      }
    }
    return last.data;
  }

  async crop(box: Box, size: Size, filter: Filter = "bilinear"): Promise<Uint8Array> {
    const [x, right] = clip(box.x, box.x + box.width, this.width);
    const [y, bottom] = clip(box.y, box.y + box.height, this.height);
    const inside = { x, y, width: right - x, height: bottom - y };
    // Written so that NaN fails too.
    if (!(inside.width > 0 && inside.height > 0)) {
      throw new SdRpnError(
        "INVALID_ARGUMENT",
        `Expected a box that covers pixels of the ${this.width}x${this.height} image but received ${JSON.stringify(box)}`,
      );
    }
    return filter === "bilinear" ? resample(this.rgb, inside, size, filter) : (await scaleAxes(this.rgb, inside, size, filter)).data;
  }

  part({ x, y, width, height }: Box): Picture {
    const { data, width: stride } = this.rgb;
    const rows = data.subarray(y * stride * 3, (y + height) * stride * 3);
    const copied = (): Uint8Array => {
      const cut = new Uint8Array(width * height * 3);
      for (let row = 0; row < height; row++) {
        cut.set(rows.subarray((row * stride + x) * 3, (row * stride + x + width) * 3), row * width * 3);
      }
      return cut;
    };
    return new DecodedPicture({ data: width === stride ? rows : copied(), width, height, channels: 3 }, { ...this.info, width, height, rotated: 0 }, []);
  }

  pixels(): RgbPixels {
    return this.rgb;
  }
}

function clip(from: number, to: number, limit: number): [from: number, to: number] {
  return [Math.trunc(Math.min(limit, Math.max(0, from))), Math.trunc(Math.min(limit, Math.max(0, to)))];
}
