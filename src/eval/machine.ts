import { arch, cpus, platform, release, totalmem } from "node:os";
import { isDeepStrictEqual } from "node:util";
import { readTextFile } from "../base/regular-file.js";
import type { ModelInfo } from "../model/model.js";
import { toJson } from "../data/settings-file.js";
import { RUN_FILES, type RunFolder } from "./run-folder.js";

/** A machine that a run, or a part of it, was made on. */
export interface Machine {
  cpu: string;
  cores: number;
  /** GiB, rounded */
  memory: number;
  system: string;
  node: string;
  backend: string;
  device: string;
  threads: number;
  versions: ModelInfo["versions"];
}

export function describeMachine({ backend, device, threads, versions }: Readonly<ModelInfo>): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    memory: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    backend,
    device,
    threads,
    versions,
  };
}

/** Adds this machine to machine.json, unless it is there. */
export async function addMachine(folder: RunFolder, info: Readonly<ModelInfo>): Promise<void> {
  const machines = await readMachines(folder);
  const machine = describeMachine(info);
  if (!machines.some((known) => isDeepStrictEqual(known, JSON.parse(JSON.stringify(machine))))) {
    await writeMachines(folder, [...machines, machine]);
  }
}

export async function readMachines(folder: RunFolder): Promise<Machine[]> {
  try {
    return JSON.parse(await readTextFile(folder.file(RUN_FILES.machine))) as Machine[];
  } catch {
    return []; // none yet; no result depends on it
  }
}

export function writeMachines(folder: RunFolder, machines: readonly Machine[]): Promise<void> {
  return folder.write(RUN_FILES.machine, toJson(machines));
}
