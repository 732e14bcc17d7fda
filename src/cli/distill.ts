import { Command } from "commander";
import { distillHeadsCommand } from "./distill-heads.js";
import { distillLabelCommand } from "./distill-label.js";
import { distillMergeCommand } from "./distill-merge.js";
import { distillTrainCommand } from "./distill-train.js";

/** One line per step of self-distillation. */
export function distillCommand(signal: AbortSignal): Command {
  const command = new Command("distill").description("let a model teach its own region proposal network, without annotations");
  const steps = [distillHeadsCommand(signal), distillLabelCommand(signal), distillMergeCommand(signal), distillTrainCommand(signal)];
  for (const step of steps) {
    command.addCommand(step.helpOption("-h, --help", "print this help"));
  }
  return command;
}
