import { Command } from "commander";
import { type PredictOptions, predictSchema } from "../answer/options.js";
import { checkOutput } from "./exit.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { writeOverlay } from "./overlay-file.js";
import { numberParser } from "./parse.js";
import { formatBox, formatRegion, formatTimings, printJson, printTable } from "./print.js";

type Options = ModelOptions & Pick<PredictOptions, "threshold" | "exact"> & { json?: true; overlay?: string };

export function roiCommand(signal: AbortSignal): Command {
  const command = new Command("roi")
    .description("show where in a picture the answer to a question can be read, without answering it")
    .argument("<image>", "path of the picture")
    .argument("<question>", "the question")
    .option(
      "--threshold <t>",
      "probability that makes a region, -1 to 1; below 0 relative to the largest (default: the RPN file's)",
      numberParser(predictSchema.shape.threshold, "--threshold"),
    )
    .option("--exact", "keep white space at the ends of the question")
    .option("--json", "print one JSON document, the map included")
    .option("--overlay <png>", "write the picture with heat map and boxes to this file");
  return addModelOptions(command)
    .addHelpText("after", '\nBoxes are in pixels of the picture.\n\nExample:\n  sd-rpn roi receipt.jpg "What is the total?" --overlay receipt-roi.png')
    .action((image: string, question: string, options: Options) => roi(image, question, options, signal));
}

async function roi(image: string, question: string, options: Options, signal: AbortSignal): Promise<void> {
  const { threshold, exact, json, overlay } = options;
  await checkOutput("write the overlay", overlay);
  await withModel(options, signal, async (model) => {
    const result = await model.predictRoI(image, question, { threshold, exact, signal });
    if (json) {
      printJson(result);
    } else {
      printTable([
        ["found", result.found ? "yes" : "no"],
        ...result.boxes.map((box) => ["box", `${formatBox(box)}, score ${box.score.toFixed(3)}`] as const),
        ["region", formatRegion(result.region)],
        ["time", formatTimings(result.timings)],
      ]);
    }
    if (overlay !== undefined) {
      await writeOverlay(model, image, result, overlay);
    }
  });
}
