import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { SdRpnError } from "../base/errors.js";
import { checkKind } from "../base/regular-file.js";

interface NodeGypBuild {
  /** Path of the addon of the package at `dir`: build/Release first, then prebuilds/. Throws where there is none. */
  path(dir: string): string;
}

// the same two levels up from src/native (tests) and lib/native
const PACKAGE_ROOT = resolve(__dirname, "..", "..");

/**
 * Loads the native addon and returns its exports.
 *
 * The file is `$SD_RPN_BINARY` where that is set; else build/Release/sd_rpn.node (a clone), else the one of prebuilds/
 * for this platform, architecture and C library. Node caches it: a second call returns the same object.
 *
 * @throws {SdRpnError} BINARY_NOT_FOUND if there is no such file or it cannot be loaded; the cause is the loader's error.
 */
export function loadBinary(): unknown {
  const file = process.env.SD_RPN_BINARY ? resolve(process.env.SD_RPN_BINARY) : findBinary();
  try {
    checkKind(statSync(file)); // the system's loader would wait for the writer of a pipe
    return require(file) as unknown;
  } catch (error) {
    const origin = process.env.SD_RPN_BINARY ? " (set by SD_RPN_BINARY)" : "";
    throw new SdRpnError(
      "BINARY_NOT_FOUND",
      `The native addon ${file}${origin} does not load on ${target()}: ${firstLine(error)}. ${howToMend()}`,
      { cause: error },
    );
  }
}

function findBinary(): string {
  try {
    return (require("node-gyp-build") as NodeGypBuild).path(PACKAGE_ROOT);
  } catch (error) {
    throw new SdRpnError(
      "BINARY_NOT_FOUND",
      `There is no native addon for ${target()} in ${join(PACKAGE_ROOT, "build", "Release")} or ${join(PACKAGE_ROOT, "prebuilds")}. ${howToMend()}`,
      { cause: error },
    );
  }
}

function target(): string {
  const libc = process.platform === "linux" ? (existsSync("/etc/alpine-release") ? ", musl" : ", glibc") : "";
  return `${process.platform}-${process.arch} (Node ${process.versions.node}${libc})`;
}

function howToMend(): string {
  return existsSync(join(PACKAGE_ROOT, "scripts", "build-native.mjs"))
    ? "Run `npm run build`, or set SD_RPN_BINARY to a built sd_rpn.node."
    : "This package has no prebuilt binary that fits: run `npm run build` in a clone of its repository and set SD_RPN_BINARY to the clone's build/Release/sd_rpn.node.";
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0];
}
