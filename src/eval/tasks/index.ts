import { z } from "zod";
import { parseOptions } from "../../base/validate.js";
import { TASK_NAMES, type Task, type TaskName } from "../task.js";
import { chartqa } from "./chartqa.js";
import { custom } from "./custom.js";
import { docvqa, infovqa } from "./document-vqa.js";
import { hrbench4k, hrbench8k } from "./hrbench.js";
import { ocrbench } from "./ocrbench.js";
import { pope } from "./pope.js";
import { textvqa } from "./textvqa.js";
import { vstar } from "./vstar.js";

/** All benchmarks by name. */
export const TASKS: Readonly<Record<TaskName, Task>> = { textvqa, docvqa, infovqa, chartqa, ocrbench, vstar, pope, hrbench4k, hrbench8k, custom };

/** @throws {SdRpnError} INVALID_ARGUMENT with the known names */
export function taskOf(name: string): Task {
  return TASKS[parseOptions(z.enum(TASK_NAMES), name, "task")];
}
