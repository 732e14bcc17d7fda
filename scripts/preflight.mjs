// Names each tool that the build needs and this machine lacks, with the command that installs it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { BuildError, hasProgram } from "./common.mjs";

const MIN_CMAKE = [3, 18];

const INSTALL = {
  apt: { compiler: "sudo apt-get install g++", cmake: "sudo apt-get install cmake", make: "sudo apt-get install ninja-build", git: "sudo apt-get install git" },
  dnf: { compiler: "sudo dnf install gcc-c++", cmake: "sudo dnf install cmake", make: "sudo dnf install ninja-build", git: "sudo dnf install git" },
  apk: { compiler: "apk add g++", cmake: "apk add cmake", make: "apk add ninja", git: "apk add git" },
  mac: { compiler: "xcode-select --install", cmake: "brew install cmake", make: "brew install ninja", git: "xcode-select --install" },
  windows: {
    compiler: 'winget install Microsoft.VisualStudio.2022.BuildTools --override "--quiet --wait --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"',
    cmake: "winget install Kitware.CMake",
    make: "winget install Ninja-build.Ninja",
    git: "winget install Git.Git",
  },
  other: {
    compiler: "install a C++17 compiler (g++ or clang++) with your package manager",
    cmake: "install CMake with your package manager",
    make: "install ninja or make with your package manager",
    git: "install git with your package manager",
  },
};

function packageManager() {
  if (process.platform === "darwin") return "mac";
  if (process.platform === "win32") return "windows";
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const ids = [...release.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map((match) => match[1]).join(" ");
  if (/debian|ubuntu/.test(ids)) return "apt";
  if (/fedora|rhel|centos/.test(ids)) return "dnf";
  if (/alpine/.test(ids)) return "apk";
  return "other";
}

/** Throws a BuildError with one line per missing tool: what it is and the command that installs it. */
export function preflight() {
  const missing = [];
  const install = INSTALL[packageManager()];

  // on Windows cmake-js looks for Visual Studio itself, which puts no compiler on the PATH
  const compilers = process.env.CXX ? [process.env.CXX.split(" ")[0]] : ["c++", "g++", "clang++"];
  if (process.platform !== "win32" && !compilers.some(hasProgram)) {
    missing.push(process.env.CXX
      ? `the C++ compiler CXX=${process.env.CXX} cannot be run: unset CXX, or point it at a C++17 compiler`
      : `a C++17 compiler is missing: ${install.compiler}`);
  }
  const cmake = cmakeVersion();
  if (!cmake) missing.push(`CMake is missing: ${install.cmake}`);
  else if (cmake[0] < MIN_CMAKE[0] || (cmake[0] === MIN_CMAKE[0] && cmake[1] < MIN_CMAKE[1])) {
    missing.push(`CMake ${cmake.join(".")} is too old, ${MIN_CMAKE.join(".")} or newer is needed: ${install.cmake}`);
  }
  if (process.platform !== "win32" && !hasProgram("ninja") && !hasProgram("make")) missing.push(`ninja (or make) is missing: ${install.make}`);
  if (!hasProgram("git")) missing.push(`git is missing: ${install.git}`);

  if (missing.length > 0) throw new BuildError(missing.join("\nsd-rpn: "));
}

function cmakeVersion() {
  const { stdout } = spawnSync("cmake", ["--version"], { encoding: "utf8" });
  const match = /cmake version (\d+)\.(\d+)/.exec(stdout ?? "");
  return match ? [Number(match[1]), Number(match[2])] : null;
}
