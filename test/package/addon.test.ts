import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SdRpnError } from "../../src/base/errors.js";
import { loadBinary } from "../../src/native/loader.js";
import { ADDON, ROOT } from "./pack.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sd-rpn-addon-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function loadFrom(binary: string): unknown {
  const before = process.env.SD_RPN_BINARY;
  process.env.SD_RPN_BINARY = binary;
  try {
    return loadBinary();
  } finally {
    if (before === undefined) delete process.env.SD_RPN_BINARY;
    else process.env.SD_RPN_BINARY = before;
  }
}

function errorOf(binary: string): SdRpnError {
  try {
    loadFrom(binary);
  } catch (error) {
    return error as SdRpnError;
  }
  throw new Error(`${binary} was loaded`);
}

describe("the loader", () => {
  test("finds the addon of the clone", () => {
    expect(Object.keys(loadBinary() as object).length).toBeGreaterThan(0);
  });

  test("takes SD_RPN_BINARY first", () => {
    expect(loadFrom(ADDON)).toBe(loadBinary());
  });

  test.each(["missing.node", "text.node"])("names the file that does not load (%s)", (name) => {
    const path = join(folder, name);
    if (name === "text.node") writeFileSync(path, "not a library\n");
    const error = errorOf(path);
    expect(error).toBeInstanceOf(SdRpnError);
    expect(error.code).toBe("BINARY_NOT_FOUND");
    expect(error.message).toContain(path);
    expect(error.message).toContain("npm run build");
    // not toBeInstanceOf(Error): jest's sandbox has an Error of its own
    expect((error.cause as Error).message).toBeTruthy();
  });
});

function symbols(kind: "--defined-only" | "--undefined-only"): string[] {
  const lines = execFileSync("nm", ["-D", kind, ADDON], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => line.trim().split(" ").pop() as string);
}

if (process.platform === "linux") {
  test("exports only the entry points of Node-API", () => {
    expect(symbols("--defined-only").sort()).toEqual(["napi_register_module_v1", "node_api_module_get_api_version_v1"]);
  });

  test("needs nothing but Node-API and versioned system libraries", () => {
    // a missing function of ours would only be noticed when it is called
    const weak = /^(_ITM_|__gmon_start__|__cxa_finalize|__cxa_pure_virtual|__tls_get_addr)/;
    const foreign = symbols("--undefined-only").filter((name) => !name.includes("@") && !weak.test(name));
    expect(foreign.filter((name) => !/^(napi|node_api)_/.test(name))).toEqual([]);
  });
}

if (process.platform !== "win32") {
  // The neighbour defines llama.cpp's functions globally, and each of them ends the process: were one call of ours, or of
  // the second copy, bound to a symbol outside its own file, the child would not end well.
  test("works beside another llama.cpp addon, and beside a second copy of itself, in one process", () => {
    const neighbour = join(folder, "neighbour.node");
    const copy = join(folder, "copy.node");
    const headers = join(ROOT, "node_modules", "node-api-headers", "include");
    const link = process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared"];
    execFileSync("cc", [...link, "-fPIC", `-I${headers}`, join(__dirname, "neighbour.c"), "-o", neighbour]);
    copyFileSync(ADDON, copy);
    const child = spawnSync(process.execPath, [join(__dirname, "beside.cjs"), neighbour, ADDON, copy], { encoding: "utf8" });
    expect(child.stderr).toBe("");
    expect(child.status).toBe(0);
    const { addonCount, texts } = JSON.parse(child.stdout) as { addonCount: number; texts: string[] };
    expect(addonCount).toBe(2);
    expect(texts[0]).not.toBe("");
    expect(texts[1]).toBe(texts[0]);
  });
}
