import { readdir, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { SdRpnError } from "../base/errors.js";
import { type GgufKeys, readGgufKeys } from "./gguf-header.js";

/** The files of a model. */
export interface ModelFiles {
  model: string;
  mmproj: string;
  rpn?: string;
}

/** What is given of them; the rest is looked for. */
export interface GivenFiles {
  /** a file, or a folder that holds one language model */
  model: string;
  mmproj?: string;
  /** null: none, wherever one lies */
  rpn?: string | null;
  /** where to look for the rest; default: the model's folder */
  folder?: string;
  /** whether to look in the folders below it too */
  deep?: boolean;
}

type Kind = "language model" | "mmproj file" | "region proposal network";

interface Found {
  path: string;
  kind: Kind;
  keys: GgufKeys;
}

const OPTION: Readonly<Record<Kind, string>> = { "language model": "model", "mmproj file": "mmproj", "region proposal network": "rpn" };

/** The architectures of the language models that a projector feeds. */
const PROJECTORS: Readonly<Record<string, string>> = { mlp: "llama", "qwen2.5vl_merger": "qwen2vl", qwen3vl_merger: "qwen3vl" };

/** Further files of a model in several; the first one names them. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/i;

/**
 * Finds what belongs to a model, unless model and mmproj file are both named: GGUF files are told by their metadata (general.architecture, general.type), whatever they are called, and
 * networks and projectors for other models are passed over.
 *
 * @throws {SdRpnError} INVALID_ARGUMENT where there are several that fit, naming them, or no mmproj file; MODEL_NOT_FOUND, MODEL_INVALID,
 *   IO_ERROR
 */
export async function findFiles({ model, mmproj, rpn, folder, deep = false }: GivenFiles): Promise<ModelFiles> {
  const isFolder = await stat(model).then((stats) => stats.isDirectory(), () => false);
  if (!isFolder && mmproj !== undefined) {
    return { model, mmproj, rpn: rpn ?? undefined }; // all is said
  }
  const place = folder ?? (isFolder ? model : dirname(model));
  const own = isFolder ? undefined : await readModel(model);
  const files = await filesIn(place, deep, own?.path);
  const chosen = own ?? one("language model", files, place);
  if (!chosen) {
    throw new SdRpnError("MODEL_NOT_FOUND", `Expected a language model in ${place}, but ${whatIsThere(files, place)}: give the path of its file as model`);
  }
  const projector = mmproj ?? one("mmproj file", files, place, (keys) => feeds(keys, chosen.keys))?.path;
  if (projector === undefined) {
    throw new SdRpnError(
      "INVALID_ARGUMENT",
      `Expected an mmproj file for ${relative(place, chosen.path)} in ${place}, but ${whatIsThere(files.filter(({ kind }) => kind === "mmproj file"), place)}: give the path of the one that belongs to the model as mmproj`,
    );
  }
  return { model: chosen.path, mmproj: projector, rpn: rpn === undefined ? one("region proposal network", files, place, (keys) => isFor(keys, chosen.keys))?.path : (rpn ?? undefined) };
}

/** The one file of a kind that fits; undefined where there is none. @throws {SdRpnError} INVALID_ARGUMENT where there are several */
function one(kind: Kind, files: readonly Found[], place: string, fits: (keys: GgufKeys) => boolean = () => true): Found | undefined {
  const candidates = files.filter((file) => file.kind === kind && fits(file.keys));
  if (candidates.length > 1) {
    const none = kind === "region proposal network" ? ", or null for none" : "";
    throw new SdRpnError("INVALID_ARGUMENT", `Expected one ${kind} in ${place} but there are ${candidates.length}: ${namesOf(candidates, place)}; give the path of one as ${OPTION[kind]}${none}`);
  }
  return candidates[0];
}

function whatIsThere(files: readonly Found[], place: string): string {
  return files.length === 0 ? "there is none" : `what is there does not fit: ${namesOf(files, place)}`;
}

function namesOf(files: readonly Found[], place: string): string {
  return files.map(({ path }) => relative(place, path)).join(", ");
}

/** A file that was named as the model. */
async function readModel(path: string): Promise<Found> {
  let keys;
  try {
    keys = await readGgufKeys(path, isEnough);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") {
      throw new SdRpnError("MODEL_NOT_FOUND", `The model file ${path} does not exist: check the path`, { cause: error });
    }
    throw new SdRpnError(code === undefined ? "MODEL_INVALID" : "IO_ERROR", `The model file ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (!keys) {
    throw new SdRpnError("MODEL_INVALID", `The model file ${path} is not a GGUF file, or is damaged: llama.cpp's converters and \`sd-rpn convert\` make such files`);
  }
  const kind = kindOf(keys);
  if (kind !== "language model") {
    throw new SdRpnError("MODEL_INVALID", `The model file ${path} is no language model${kind === undefined ? "" : ` but a ${kind}`}: give the path of the model that it belongs to`);
  }
  return { path, kind, keys };
}

/** The GGUF files in a folder but for `without`; those that cannot be read are passed over. */
async function filesIn(folder: string, deep: boolean, without?: string): Promise<Found[]> {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true, recursive: deep });
  } catch (error) {
    throw new SdRpnError("IO_ERROR", `Cannot read the folder ${folder}: ${(error as Error).message}`, { cause: error });
  }
  const paths = entries
    .filter((entry) => /\.gguf$/i.test(entry.name) && !LATER_PART.test(entry.name) && !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => without === undefined || resolve(path) !== resolve(without))
    .sort();
  const found: Found[] = [];
  for (const path of paths) {
    const keys = await readGgufKeys(path, isEnough).catch(() => undefined);
    const kind = keys && kindOf(keys);
    if (kind) {
      found.push({ path, kind, keys });
    }
  }
  return found;
}

/** What a file is; undefined for adapters, importance matrices and whatever else is kept in GGUF files. */
function kindOf(keys: GgufKeys): Kind | undefined {
  const architecture = keys.get("general.architecture");
  const type = keys.get("general.type") ?? "model";
  if (architecture === "sdrpn") {
    return "region proposal network";
  }
  if (architecture === "clip" || type === "mmproj") {
    return "mmproj file";
  }
  return type === "model" && keys.has(`${String(architecture)}.block_count`) ? "language model" : undefined;
}

/** Whether the keys that tell files apart are there; what follows are vocabularies of megabytes. */
function isEnough(keys: GgufKeys): boolean {
  const architecture = keys.get("general.architecture");
  switch (architecture) {
    case undefined:
    case "clip":
    case "sdrpn":
      return false; // these files have no vocabulary
    default:
      return keys.has(`${String(architecture)}.block_count`) && keys.has(`${String(architecture)}.embedding_length`);
  }
}

function feeds(projector: GgufKeys, model: GgufKeys): boolean {
  const kind = String(projector.get("clip.projector_type") ?? projector.get("clip.vision.projector_type") ?? "mlp");
  const architecture = model.get("general.architecture");
  // LLaVA's files have CLIP's own projection there, which nothing reads
  return PROJECTORS[kind] === architecture && (kind === "mlp" || sameWhereKnown(projector.get("clip.vision.projection_dim"), model.get(`${architecture}.embedding_length`)));
}

function isFor(network: GgufKeys, model: GgufKeys): boolean {
  const architecture = String(model.get("general.architecture"));
  return (
    (network.get("sdrpn.base_architecture") ?? "llama") === architecture &&
    sameWhereKnown(network.get("sdrpn.base.block_count"), model.get(`${architecture}.block_count`)) &&
    sameWhereKnown(network.get("sdrpn.embedding_length"), model.get(`${architecture}.embedding_length`))
  );
}

function sameWhereKnown(a: unknown, b: unknown): boolean {
  return a === undefined || b === undefined || a === b;
}
