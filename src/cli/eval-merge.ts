import { Command } from "commander";
import { mergeEvaluations } from "../eval/merge.js";
import { printEvalReport } from "./eval-print.js";

export function evalMergeCommand(signal: AbortSignal): Command {
  return new Command("merge")
    .description("join the shards of a run and make its report; needs the data, and no model")
    .argument("<shard...>", "folders of the shards, all of them")
    .requiredOption("--out <dir>", "folder to write")
    .option("--json", "print report.json instead of the tables")
    .action(async (shards: string[], { out, json }: { out: string; json?: true }) => {
      await printEvalReport(await mergeEvaluations({ shards, out, signal }), out, json === true);
    });
}
