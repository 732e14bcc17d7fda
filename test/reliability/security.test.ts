// What SECURITY.md promises: no library search, no sockets, bounds with typed errors, paths taken literally.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoModel, loadModel, RoIPredictor } from "../../src/index";
import { runNode } from "../helpers/child";
import { demoQuestions, ROOT } from "../helpers/demo";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-security-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [{ image, question }] = demoQuestions();
const ANSWER = `const { loadModel } = require(${JSON.stringify(join(ROOT, "lib", "index.js"))});
  loadModel().then(async (m) => { await m.answer(${JSON.stringify(image)}, ${JSON.stringify(question)}); await m.dispose(); });`;

if (process.platform === "linux") {
  test("no library is searched for in the working directory", async () => {
    for (const name of ["libggml-cpu.so", "libggml-cuda.so", "libggml.so", "libllama.so", "libmtmd.so", "libggml-cpu-haswell.so"]) {
      writeFileSync(join(folder, name), "not a library");
    }
    const trace = join(folder, "trace");
    const script = `process.chdir(${JSON.stringify(folder)}); ${ANSWER}`;
    const result = await runNode(["-e", script], { env: { LD_DEBUG: "libs,files", LD_DEBUG_OUTPUT: trace } });
    expect(result).toMatchObject({ code: 0, signal: null, stderr: "" });
    const text = readdirSync(folder).filter((name) => name.startsWith("trace.")).map((name) => readFileSync(join(folder, name), "utf8")).join("");
    expect(text).toContain("sd_rpn.node");
    const touched = text.split("\n").filter((line) => line.includes(folder) || /(file=|trying file=)\.?\/?lib(ggml|llama|mtmd)/.test(line));
    expect(touched).toEqual([]);
  });

  test("the addon knows no function of the network, and no search path", () => {
    const addon = join(ROOT, "build", "Release", "sd_rpn.node");
    const symbols = execFileSync("nm", ["-D", "--undefined-only", addon], { encoding: "utf8" });
    expect(symbols.match(/\b(socket|connect|bind|listen|accept4?|getaddrinfo|gethostbyname|sendto|recvfrom)(@|$)/gm)).toBeNull();
    expect(execFileSync("readelf", ["-d", addon], { encoding: "utf8" })).not.toMatch(/R(UN)?PATH/);
  });
}

test("loading and answering opens no socket and starts no process", async () => {
  const script = `
    const seen = new Set();
    require("node:async_hooks").createHook({ init: (id, type) => seen.add(type) }).enable();
    ${ANSWER}
    process.on("exit", () => console.log(JSON.stringify([...seen])));`;
  const { code, stdout } = await runNode(["-e", script]);
  expect(code).toBe(0);
  const seen = JSON.parse(stdout) as string[];
  expect(seen.filter((type) => /TCP|UDP|DNS|GETADDRINFO|HTTP|TLS|PROCESSWRAP|WORKER/.test(type))).toEqual([]);
});

test("SVG and PDF are refused, whatever they are called", async () => {
  const model = await loadModel();
  for (const text of ['<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><svg>&e;</svg>", "%PDF-1.7\n"]) {
    const path = join(folder, "picture.png");
    writeFileSync(path, text);
    await expect(model.answer(path, question)).rejects.toMatchObject({ code: "IMAGE_INVALID" });
    await expect(model.answer(Buffer.from(text), question)).rejects.toMatchObject({ code: "IMAGE_INVALID" });
  }
  await model.dispose();
});

test("limits of pixels, tokens and queue have codes", async () => {
  const model = await loadModel({ maxImagePixels: 100, maxQueue: 0 });
  await expect(model.answer(image, question)).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
  const small = { data: new Uint8Array(300), width: 10, height: 10, channels: 3 as const };
  await expect(model.answer(small, "why ".repeat(10_000))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  const settled = await Promise.allSettled(Array.from({ length: 12 }, () => model.predictRoI(small, question)));
  const codes = settled.map((result) => (result.status === "rejected" ? (result.reason as { code: string }).code : "done"));
  expect(codes.filter((code) => code === "done")).toHaveLength(4);
  expect(new Set(codes)).toEqual(new Set(["done", "QUEUE_FULL"]));
  expect((await model.predictRoI(small, question)).map.data).toHaveLength(144);
  await model.dispose();
});

test("a context that cannot fit is OUT_OF_MEMORY before anything is loaded", async () => {
  const start = performance.now();
  await expect(loadModel({ contextSize: 1 << 20, parallel: 32 })).rejects.toMatchObject({ code: "OUT_OF_MEMORY", message: expect.stringMatching(/takes at least \d+ MB but \d+ MB are free/) });
  expect(performance.now() - start).toBeLessThan(5000);
});

test("paths with spaces, other scripts and great length are opened; those that cannot be are refused", async () => {
  const long = join(folder, ...Array.from({ length: 12 }, (_, i) => `${i}`.repeat(120)));
  mkdirSync(long, { recursive: true });
  for (const name of [" a b ", "Größe-图片-\u{1F600}", "x".repeat(240), "quote'\"$(date);&", "%s%n%p"]) {
    const files = Object.fromEntries(Object.keys(demoModel()).map((role) => [role, join(long, `${name}.${role}`.slice(-240))]));
    for (const [role, path] of Object.entries(demoModel())) copyFileSync(path, files[role as keyof typeof files]);
    const picture = join(long, `${name}.jpg`.slice(-240));
    copyFileSync(image, picture);
    const model = await loadModel(files);
    expect((await model.answer(picture, question, { maxTokens: 2 })).text).not.toBe("");
    await model.dispose();
    rmSync(picture);
  }
  const tooLong = join(folder, "y".repeat(300));
  await expect(loadModel({ ...demoModel(), model: tooLong })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  await expect(loadModel({ ...demoModel(), rpn: "/" + "z/".repeat(4000) })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  await expect(loadModel({ ...demoModel(), model: `${demoModel().model}\0.gguf` })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(RoIPredictor.load(`${demoModel().rpn}\0`)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
