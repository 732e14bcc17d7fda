import { SdRpnError } from "../base/errors.js";
import { failed } from "./client.js";
import type { HubFile } from "./listing.js";
import { formatHubName, type HubName, isPlainPath } from "./name.js";

const PART_OF_SEVERAL = /-\d{5}-of-(\d{5})\.gguf$/i;

export interface Selection {
  /** what is fetched, in that order: the model comes last, so that where it is the others are too */
  files: HubFile[];
  /** whether a language model is among them */
  complete: boolean;
  /** files of a kind of which there are several, so that none was taken */
  undecided: string[];
}

/**
 * What of a repository is fetched: the file that is named, or its one language model, with all of its parts; and the mmproj file and the
 * network where there is one of each. Before they are fetched only names tell files apart.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where nothing or several are meant, naming what is there; DOWNLOAD_FAILED for names that are none
 */
export function selectFiles(name: HubName, all: readonly HubFile[], host: string): Selection {
  const files = all.filter(({ path }) => /\.gguf$/i.test(path));
  const bad = files.find(({ path }) => !isPlainPath(path));
  if (bad) {
    throw failed(`${host} lists a file with a name that could lead anywhere, ${JSON.stringify(bad.path.slice(0, 200))}: nothing was fetched`);
  }
  const models = files.filter(({ path }) => kindOf(path) === "model");
  const named = name.file === undefined ? undefined : files.find(({ path }) => path === name.file);
  if (name.file !== undefined && !named) {
    throw new SdRpnError("INVALID_ARGUMENT", `Expected the name of a GGUF file in ${repository(name)} but received ${name.file}; there are ${listed(files)}`);
  }
  const sets = new Set(models.map(({ path }) => setOf(path)));
  if (files.length === 0 || (!named && sets.size > 1)) {
    const which = files.length === 0 ? "it has no GGUF files" : `name one: ${listed(models)}`;
    throw new SdRpnError("INVALID_ARGUMENT", `Expected one language model in ${repository(name)}, but ${which}`);
  }
  if (named && kindOf(named.path) !== "model") {
    return { files: [named], complete: false, undecided: [] };
  }
  const model = named ?? models[0];
  const parts = model ? models.filter(({ path }) => setOf(path) === setOf(model.path)) : [];
  const beside = (["mmproj", "rpn"] as const).map((kind) => files.filter(({ path }) => kindOf(path) === kind));
  return {
    files: [...beside.flatMap((candidates) => (candidates.length === 1 ? candidates : [])), ...parts],
    complete: model !== undefined,
    undecided: beside.flatMap((candidates) => (candidates.length > 1 ? candidates.map(({ path }) => path) : [])),
  };
}

function kindOf(path: string): "model" | "mmproj" | "rpn" {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return /mmproj/i.test(name) ? "mmproj" : /(^|[-_.])rpn([-_.]|$)/i.test(name) ? "rpn" : "model";
}

/** The same for all parts of a model that is in several files. */
function setOf(path: string): string {
  return path.replace(PART_OF_SEVERAL, "-of-$1.gguf");
}

function repository(name: HubName): string {
  return formatHubName({ ...name, file: undefined });
}

function listed(files: readonly HubFile[]): string {
  const shown = files.slice(0, 40).map(({ path, size }) => `${path} (${(size / 1e9).toFixed(2)} GB)`);
  return `${shown.join(", ")}${files.length > 40 ? ", ..." : ""}`;
}
