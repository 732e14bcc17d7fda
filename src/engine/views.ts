import { SdRpnError } from "../base/errors.js";
import type { Box, Size } from "../base/types.js";
import { planCrop, planPicture, type TokenBudget } from "../image/dynamic-view.js";
import type { Picture } from "../image/picture.js";
import { cellCount, type ViewLayout } from "../image/view-layout.js";
import type { NativeModelInfo, NativeView } from "../native/binding.js";
import { checkTowerMemory } from "./tower-memory.js";

/** How many tokens a view may take. */
export interface ImageTokens {
  min: number;
  max: number;
}

/** How pictures and their parts become what a model sees. */
export interface Views {
  /** tokens of one view; where both are the same, of every view */
  readonly tokens: Readonly<ImageTokens>;
  /** how a view is made, for messages and caches: views of the same picture may differ where this does */
  readonly key: string;
  /** the budget of a view, where that decides its size */
  readonly budget: TokenBudget | null;
  /** @throws {SdRpnError} IMAGE_INVALID where no view can show such a picture */
  plan(picture: Size): ViewLayout;
  /** @throws {SdRpnError} INVALID_ARGUMENT where no view can show such a part */
  planCrop(crop: Size): ViewLayout;
  draw(picture: Picture, layout: ViewLayout): Promise<NativeView>;
  cut(picture: Picture, crop: Box, layout: ViewLayout): Promise<NativeView>;
}

/** The references' budget where neither call nor files say one: that of Q-Zoom's evaluation. */
const USUAL: ImageTokens = { min: 256, max: 576 };

/**
 * The views of a model.
 *
 * @param asked of the call or the load
 * @throws {SdRpnError} INVALID_ARGUMENT for a budget where all views have the same size
 */
export function viewsOf({ vision, rpn }: Pick<NativeModelInfo, "vision" | "rpn">, asked?: ImageTokens): Views {
  if (vision.family === "llava") {
    const layout = { grid: vision.grid, pixels: vision.view };
    if (asked) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected no imageTokens for this model, whose views all have ${cellCount(layout)} tokens: leave them out`);
    }
    return new EqualViews(layout, vision.fill);
  }
  return new DynamicViews({ ...(asked ?? rpn?.imageTokens ?? USUAL), cell: vision.cell }, vision);
}

/** LLaVA-1.5: every picture in the middle of the same square, crops scaled to it. */
class EqualViews implements Views {
  readonly tokens: ImageTokens;
  readonly key = "";
  readonly budget = null;

  constructor(
    private readonly layout: ViewLayout,
    private readonly fill: readonly [number, number, number],
  ) {
    this.tokens = { min: cellCount(layout), max: cellCount(layout) };
  }

  plan(): ViewLayout {
    return this.layout;
  }

  planCrop(): ViewLayout {
    return this.layout;
  }

  async draw(picture: Picture, layout: ViewLayout): Promise<NativeView> {
    return wholeView(await picture.view(layout.pixels, this.fill), layout);
  }

  async cut(picture: Picture, crop: Box, layout: ViewLayout): Promise<NativeView> {
    return wholeView(await picture.crop(crop, layout.pixels, "bilinear"), layout);
  }
}

/** Qwen-VL: views as large as the budget allows, in the picture's own proportions. */
class DynamicViews implements Views {
  readonly tokens: ImageTokens;
  readonly key: string;

  constructor(
    readonly budget: TokenBudget,
    private readonly tower: NativeModelInfo["vision"],
  ) {
    this.tokens = { min: budget.min, max: budget.max };
    this.key = `${budget.min}-${budget.max}`;
  }

  plan(picture: Size): ViewLayout {
    return planPicture(picture, this.budget);
  }

  planCrop(crop: Size): ViewLayout {
    const layout = planCrop(crop, this.budget);
    if (!layout) {
      throw new SdRpnError("INVALID_ARGUMENT", `Expected a part of the picture at most 200 times as long as wide but received one of ${crop.width}x${crop.height}`);
    }
    return layout;
  }

  async draw(picture: Picture, { grid, pixels }: ViewLayout): Promise<NativeView> {
    checkTowerMemory(grid, this.tower);
    const { via } = planPicture(picture, this.budget);
    return wholeView(await picture.stretched([via, pixels]), { grid, pixels });
  }

  async cut(picture: Picture, crop: Box, layout: ViewLayout): Promise<NativeView> {
    checkTowerMemory(layout.grid, this.tower);
    return wholeView(await picture.crop(crop, layout.pixels, "bicubic"), layout);
  }
}

/** Pixels of a layout's view, of which all cells are fed. */
export function wholeView(rgb: Uint8Array, { pixels }: ViewLayout): NativeView {
  return { rgb, width: pixels.width, height: pixels.height, keep: null, box: null };
}
