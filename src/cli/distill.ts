import { Command } from "commander";
import { distillTrainCommand } from "./distill-train.js";

/** One line per step of self-distillation. */
export function distillCommand(signal: AbortSignal): Command {
  const command = new Command("distill").description("let a model teach its own region proposal network, without annotations");
  for (const step of [distillTrainCommand(signal)]) {
    command.addCommand(step.helpOption("-h, --help", "print this help"));
  }
  return command;
}
