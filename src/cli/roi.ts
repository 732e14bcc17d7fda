import { Command } from "commander";
import type { PredictOptions } from "../answer/options.js";
import { checkOutput } from "./exit.js";
import { IMAGE_HELP, imageOf } from "./image-argument.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { writeOverlay } from "../batch/overlay-file.js";
import { formatBox, formatRegion, formatTimings, printHint, printJson, printTable } from "./print.js";
import { addReadingOptions, addRegionOptions, methodOf, type ReadingOptions, readingOf, type RegionOptions, SYSTEM_HELP } from "./region-options.js";

type Options = ModelOptions & RegionOptions & ReadingOptions & Pick<PredictOptions, "exact" | "system"> & { json?: true; overlay?: string };

export function roiCommand(signal: AbortSignal): Command {
  const command = new Command("roi");
  addReadingOptions(addRegionOptions(command))
    .description("show where in a picture the answer to a question can be read, without answering it")
    .argument("<image>", IMAGE_HELP)
    .argument("<question>", "the question")
    .option("--system <text>", SYSTEM_HELP)
    .option("--exact", "keep white space at the ends of the question")
    .option("--json", "print one JSON document, the map included")
    .option("--overlay <png>", "write the picture with heat map and boxes to this file");
  return addModelOptions(command)
    .addHelpText("after", '\nBoxes are in pixels of the picture.\n\nExamples:\n  sd-rpn roi receipt.jpg "What is the total?" --overlay receipt-roi.png\n  sd-rpn roi receipt.jpg "What is the total?" --model llava.gguf --mmproj mmproj.gguf --method vicrop')
    .action((image: string, question: string, options: Options) => roi(image, question, options, signal));
}

async function roi(image: string, question: string, options: Options, signal: AbortSignal): Promise<void> {
  const { heads, threshold, gate, tiles, system, exact, json, overlay } = options;
  const method = methodOf(options);
  await checkOutput("write the overlay", overlay);
  const picture = await imageOf(image);
  await withModel(options, signal, async (model) => {
    const result = await model.predictRoI(picture, question, { ...readingOf(options), method, threshold, gate, tiles, system, exact, signal });
    if (json) {
      printJson(result);
    } else {
      printTable([
        ["found", `${result.found ? "yes" : "no"}${result.method === "rpn" ? "" : `, by ${result.method}`}`],
        ...result.boxes.map((box) => ["box", `${formatBox(box)}, score ${box.score.toFixed(3)}`] as const),
        ["region", formatRegion(result.region)],
        ["time", formatTimings(result.timings)],
      ]);
      result.hints.forEach(printHint);
    }
    if (overlay !== undefined) {
      await writeOverlay(model, picture, result, overlay, options);
    }
  }, { heads });
}
