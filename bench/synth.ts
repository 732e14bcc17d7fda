import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./root.js";

/** Which synthetic model: a shape, widths and heads divided by `scale`, and the type of its weights. */
export interface SynthOptions {
  /** "llava-1.5-7b", "llava-1.5-13b" or "tiny" */
  shape: string;
  scale: number;
  /** ggml's name of the language model's type, such as "q8_0" */
  type: string;
  /** of the random weights; 1 where none is given */
  seed?: number;
  /** sizes other than the shape's, by the names of synth-model's options: { layers: 8, width: 256, heads: 4 } */
  sizes?: Record<string, number>;
}

export interface ModelFiles {
  model: string;
  mmproj: string;
  rpn: string;
}

/** What was made: widths are those after scaling. */
export interface ModelSizes {
  layers: number;
  width: number;
  /** of keys and values */
  kvWidth: number;
  ff: number;
  vocab: number;
  /** K: the network branches off after this layer */
  branch: number;
  /** T: blocks of the network, the last one query and key only */
  blocks: number;
  /** of one picture */
  imageTokens: number;
}

/** Makes a synthetic model's three files with native/bench/synth-model; those that are there already are taken as they are. */
export function synthesize({ shape, scale, type, seed = 1, sizes = {} }: SynthOptions, out = join(ROOT, "bench", "out", "models")): { files: ModelFiles; sizes: ModelSizes } {
  const extra = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = ["--shape", shape, "--scale", String(scale), "--type", type, "--seed", String(seed), "--out", out, ...extra];
  const made = execFileSync(nativeProgram("synth-model"), args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const { sizes: madeSizes, ...files } = JSON.parse(made) as ModelFiles & { sizes: ModelSizes };
  return { files, sizes: madeSizes };
}

/** A program of native/bench that `npm run build` has made. */
export function nativeProgram(name: string): string {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  const dir = join(ROOT, "build", "native", "bench");
  const path = [join(dir, file), join(dir, "Release", file)].find(existsSync);
  if (!path) {
    throw new Error(`${name} is not built: run \`npm run build\``);
  }
  return path;
}
