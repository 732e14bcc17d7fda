import { Command } from "commander";
import type { ModelInfo } from "../model/model.js";
import { addModelOptions, type ModelOptions, withModel } from "./model.js";
import { printJson, printTable } from "./print.js";

export function infoCommand(signal: AbortSignal): Command {
  const command = new Command("info").description("load a model and show what it is and where it runs").option("--json", "print one JSON document");
  return addModelOptions(command).action((options: ModelOptions & { json?: true }) =>
    withModel(options, signal, async ({ info }) => (options.json ? printJson(info) : printTable(describe(info)))),
  );
}

function describe(info: ModelInfo): [string, string][] {
  const { rpn, versions } = info;
  return [
    ["model", `${info.name || "without a name"}, ${info.architecture}, ${info.layers} layers, width ${info.embeddingLength}, vocabulary ${info.vocabSize}`],
    ["files", Object.values(info.files).filter((path) => path !== null).join(", ")],
    ["context", `${info.contextSize} tokens (trained with ${info.trainedContext})`],
    ["prompt", info.prompt],
    ["vision", `${info.view.width} x ${info.view.height} px, grid ${info.grid.width} x ${info.grid.height}, ${info.imageTokens} tokens, projector ${info.projector}`],
    [
      "rpn",
      rpn === null
        ? "none: plain answers only"
        : `${rpn.blockCount} blocks after layer ${rpn.branchLayer}, ${rpn.type}, threshold ${Number(rpn.threshold.toPrecision(6))}` +
          (rpn.baseName ? `, for ${rpn.baseName}` : ""),
    ],
    ["runs on", `${info.backend} (${info.device}), ${info.threads === 1 ? "1 thread" : `${info.threads} threads`}`],
    ["versions", `sd-rpn ${versions.sdRpn}, llama.cpp ${versions.llama}, ggml ${versions.ggml}`],
  ];
}
