import { SdRpnError } from "../../base/errors.js";
import type { RunConfig } from "../config.js";
import { cropsOf, mapOf, type Prediction } from "../prediction.js";
import type { EvalItem } from "../task.js";
import type { Example } from "./examples.js";
import { escapeHtml } from "./html-escape.js";
import { ItemPicture } from "./pictures.js";
import { RIGHT_FROM } from "./summary.js";

/** One item as the page shows it: question, truth, and what each method looked at and answered. */
export async function exampleHtml(
  { index, item }: { index: number; item: EvalItem },
  { position, won, lost }: Example,
  predictions: ReadonlyMap<string, readonly Prediction[]>,
  config: RunConfig,
): Promise<string> {
  const picture = await openOrNull(item);
  const looks: string[] = [];
  for (const [name, rows] of predictions) {
    looks.push(await lookHtml(name, rows[position], picture, config));
  }
  const options = item.options?.map(({ letter, text }) => `${letter}. ${text}`).join("; ");
  const truth = [...new Set(item.answers)].join(" / ");
  return `<article data-won="${escapeHtml(won.join(" "))}" data-lost="${escapeHtml(lost.join(" "))}">
<h3>${escapeHtml(item.question)}</h3>
<p class="truth">${options ? `${escapeHtml(options)}<br>` : ""}Answer: <b>${escapeHtml(truth)}</b> <span class="dim">item ${escapeHtml(item.id)}, number ${index}${item.category === undefined ? "" : `, ${escapeHtml(item.category)}`}</span></p>
<div class="looks">
${looks.join("\n")}
</div>
</article>`;
}

async function lookHtml(name: string, row: Prediction, picture: ItemPicture | null, { model }: RunConfig): Promise<string> {
  const right = row.score !== null && row.score >= RIGHT_FROM;
  const crops = cropsOf(row);
  const map = mapOf(row, model.grid);
  const images: string[] = [];
  if (picture) {
    const whole = map || crops.length > 0 ? await picture.overlay(map, crops, model.grid, model.imageSize) : await picture.plain();
    images.push(`<img alt="the picture as ${escapeHtml(name)} saw it" src="${whole}">`);
    for (const crop of crops) {
      images.push(`<img class="crop" alt="what it looked at again: ${describe(crop)}" src="${await picture.crop(crop)}">`);
    }
  }
  const score = row.score !== null && row.score > 0 && row.score < 1 ? ` (${row.score.toFixed(2)})` : "";
  const said = row.error ? `<i>${escapeHtml(row.error)}</i>` : row.text.trim() === "" ? "<i>nothing</i>" : escapeHtml(row.text.trim());
  return `<figure>
<figcaption><span class="name">${escapeHtml(name)}</span> <span class="mark ${right ? "right" : "wrong"}">${right ? "right" : "wrong"}${score}</span></figcaption>
<p class="said">${said}</p>
<div class="images">${images.join("")}</div>
<p class="dim">${crops.length > 0 ? crops.map(describe).join("; ") : "no second look"}${row.kept === null ? "" : `, ${row.kept} cells kept`}</p>
</figure>`;
}

function describe({ x, y, width, height }: { x: number; y: number; width: number; height: number }): string {
  return `${Math.round(width)} x ${Math.round(height)} at ${Math.round(x)}, ${Math.round(y)}`;
}

/** If a picture can no longer be read, the card has no pictures; the page is written anyway. */
async function openOrNull(item: EvalItem): Promise<ItemPicture | null> {
  try {
    return await ItemPicture.open(item);
  } catch (error) {
    if (error instanceof SdRpnError && error.code !== "ABORTED") {
      return null;
    }
    throw error;
  }
}
