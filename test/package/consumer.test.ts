import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ADDON, type Packed, ROOT, packAndInstall } from "./pack.js";

let packed: Packed;
beforeAll(() => {
  packed = packAndInstall();
});
afterAll(() => packed.remove());

/** Runs a program in the project that has sd-rpn installed, and returns what it printed. */
function run(file: string, source: string): string {
  const path = join(packed.project, file);
  writeFileSync(path, source);
  return execFileSync(process.execPath, [path], { encoding: "utf8", env: { ...process.env, SD_RPN_BINARY: ADDON } }).trim();
}

test("import and require give the same names and the same SdRpnError", () => {
  const output = run("both.mjs", `
    import { createRequire } from "node:module";
    import * as esm from "sd-rpn";
    import { SdRpnError } from "sd-rpn";
    const cjs = createRequire(import.meta.url)("sd-rpn");
    const names = (module) => Object.keys(module).filter((name) => name !== "__esModule").sort();
    console.log(JSON.stringify({ same: SdRpnError === cjs.SdRpnError, esm: names(esm), cjs: names(cjs) }));
  `);
  const { same, esm, cjs } = JSON.parse(output) as { same: boolean; esm: string[]; cjs: string[] };
  expect(same).toBe(true);
  expect(esm).toEqual(cjs);
  expect(cjs).toContain("SdRpnError");
});

test("require alone works in a CommonJS program", () => {
  const output = run("plain.cjs", `
    const { SdRpnError } = require("sd-rpn");
    console.log(new SdRpnError("INTERNAL", "x") instanceof Error);
  `);
  expect(output).toBe("true");
});

test("programs of both module kinds compile against the published types", () => {
  cpSync(join(__dirname, "consumer"), packed.project, { recursive: true });
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", packed.project], { encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test("without the optional package a PDF is refused by its name; with it the page is read", () => {
  const source = `
    const { loadModel } = require("sd-rpn");
    (async () => {
      const model = await loadModel();
      const pdf = Buffer.from("%PDF-1.7");
      const told = await model.predictRoI(pdf, "?").catch((error) => error.code + " " + error.message);
      console.log(told);
      await model.dispose();
    })();
  `;
  expect(run("pdf.cjs", source)).toMatch(/^IMAGE_INVALID Expected a picture that can be decoded but received PDF .*npm install @hyzyla\/pdfium$/);
  packed.link("@hyzyla/pdfium");
  expect(run("pdf.cjs", source)).toMatch(/^IMAGE_INVALID Cannot draw the PDF .*damaged or truncated$/);
});

test("a package without a fitting binary says so and how to mend it", () => {
  const source = `
    const path = require("node:path");
    const { loadBinary } = require(path.join(__dirname, "node_modules/sd-rpn/lib/native/loader.js"));
    delete process.env.SD_RPN_BINARY;
    try { loadBinary(); } catch (error) { console.log(error.code + "\\n" + error.message); }
  `;
  const [code, message] = run("missing.cjs", source).split("\n");
  expect(code).toBe("BINARY_NOT_FOUND");
  expect(message).toContain(`${process.platform}-${process.arch}`);
  expect(message).toContain("SD_RPN_BINARY");
});
