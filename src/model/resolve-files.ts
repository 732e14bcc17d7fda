import { isHubName, parseHubName } from "../hub/name.js";
import { locate, type LocateOptions } from "../hub/locate.js";
import { invalidArgument } from "../base/validate.js";
import { demoModel } from "./demo-model.js";
import { findFiles, type ModelFiles } from "./find-files.js";

interface NamedFiles extends LocateOptions {
  model?: string;
  mmproj?: string;
  rpn?: string | null;
}

/**
 * The files that `loadModel` loads: those that are named, and, where a model's mmproj file is not, what lies beside it; without any of them the
 * demo model.
 *
 * @throws {SdRpnError} as `findFiles` and `locate`
 */
export async function resolveFiles({ model, mmproj, rpn, ...how }: NamedFiles): Promise<ModelFiles> {
  if (model === undefined) {
    if (mmproj !== undefined || typeof rpn === "string") {
      throw invalidArgument("path of a GGUF file", "model", model);
    }
    const demo = demoModel();
    return rpn === null ? { model: demo.model, mmproj: demo.mmproj } : demo;
  }
  const given = { mmproj: await pathOf(mmproj, "mmproj", how), rpn: await pathOf(rpn, "rpn", how) };
  if (isHubName(model)) {
    const { path, folder } = await locate(model, "model", how);
    return findFiles({ ...given, model: path, folder, deep: true });
  }
  return findFiles({ ...given, model });
}

async function pathOf<None>(name: string | None, option: string, how: LocateOptions): Promise<string | None> {
  if (typeof name !== "string" || !isHubName(name)) {
    return name;
  }
  if (parseHubName(name, option).file === undefined) {
    throw invalidArgument('name of one file, "hf:owner/name:file",', option, name);
  }
  return (await locate(name, option, how)).path;
}
