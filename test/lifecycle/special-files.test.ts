// A path that names no regular file is refused at once, wherever a path is taken: opening a pipe would wait for its other
// end, beyond the call's signal and even beyond process.exit. Each script is a process of its own, with a deadline.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFileRange, readRegularFile, readTextFile, writeRegularFile } from "../../src/base/regular-file";
import { sdRpn } from "../e2e/run-cli";
import { runNode } from "../helpers/child";
import { demoQuestions, ROOT } from "../helpers/demo";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-special-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fifo = join(folder, "fifo");

if (process.platform !== "win32") {
  beforeAll(() => execFileSync("mkfifo", [fifo]));

  const PIPE = /is a named pipe \(FIFO\), not a regular file/;
  const CODES: Record<string, [code: string, message: RegExp]> = {
    "picture, pipe": ["IMAGE_INVALID", PIPE],
    "picture, link to a pipe": ["IMAGE_INVALID", PIPE],
    "picture, socket": ["IMAGE_INVALID", /is a socket/],
    "picture, device": ["IMAGE_INVALID", /is a character device/],
    "picture, folder": ["IMAGE_INVALID", /is a folder/],
    "picture of an overlay, pipe": ["IMAGE_INVALID", PIPE],
    model: ["MODEL_INVALID", PIPE],
    mmproj: ["MMPROJ_INVALID", PIPE],
    rpn: ["RPN_INVALID", PIPE],
    predictor: ["RPN_INVALID", PIPE],
    "predictor, device": ["RPN_INVALID", /is a character device/],
    checkpoint: ["CHECKPOINT_INVALID", PIPE],
    "config.json": ["CHECKPOINT_INVALID", PIPE],
    safetensors: ["CHECKPOINT_INVALID", PIPE],
    "safetensors by another name": ["CHECKPOINT_INVALID", PIPE],
    index: ["CHECKPOINT_INVALID", PIPE],
    shard: ["CHECKPOINT_INVALID", PIPE],
    "tokenizer.json": ["CHECKPOINT_INVALID", PIPE],
    "tokenizer_config.json": ["CHECKPOINT_INVALID", PIPE],
    "preprocessor_config.json": ["CHECKPOINT_INVALID", PIPE],
    "chat_template.jinja": ["CHECKPOINT_INVALID", PIPE],
    "base of a checkpoint": ["CHECKPOINT_INVALID", PIPE],
    "file in the folder of converted ones": ["IO_ERROR", PIPE],
    "converted file": ["IO_ERROR", PIPE],
    "question file": ["IO_ERROR", PIPE],
    "label file": ["IO_ERROR", PIPE],
    "label file, device": ["IO_ERROR", /is a character device/],
    "heads file": ["IO_ERROR", PIPE],
    "merged file": ["IO_ERROR", PIPE],
    "file to merge": ["IO_ERROR", PIPE],
    "labels to train on": ["IO_ERROR", PIPE],
    "trained file": ["IO_ERROR", PIPE],
    "training checkpoint": ["IO_ERROR", PIPE],
    "JSON data": ["IO_ERROR", PIPE],
    "JSONL data": ["IO_ERROR", PIPE],
    "TSV data": ["IO_ERROR", PIPE],
    "Parquet data": ["IO_ERROR", PIPE],
    "regions of another system": ["IO_ERROR", PIPE],
    "boxes beside a picture": ["IO_ERROR", PIPE],
    "folder of a run": ["IO_ERROR", PIPE],
  };

  test("every call of the library refuses it within a second, and the process ends", async () => {
    const work = join(folder, "work");
    mkdirSync(work);
    const { code, signal, stdout, stderr } = await runNode([join(ROOT, "test", "helpers", "special-files.cjs"), work], { timeout: 50_000 });
    const results = stdout.trim().split("\n").map((line) => JSON.parse(line) as { name: string; ms: number; code: string; message: string });
    expect({ code, signal, stderr, calls: results.map(({ name }) => name) }).toEqual({ code: 0, signal: null, stderr: "", calls: Object.keys(CODES) });
    for (const { name, ms, code: found, message } of results) {
      const [expected, says] = CODES[name];
      expect({ name, code: found, message }).toEqual({ name, code: expected, message: expect.stringMatching(says) });
      expect(ms).toBeLessThan(1000);
    }
  });

  // the path is another one's when it is looked at: what opens it must not wait either
  const EXCHANGED = (use: string) => `
    const fsp = require("node:fs/promises");
    const { stat } = fsp;
    fsp.stat = (path, ...rest) => stat(path === ${JSON.stringify(fifo)} ? "package.json" : path, ...rest);
    const { openRegularFile, readRegularFile, writeRegularFile } = require("./lib/base/regular-file.js");
    const fifo = ${JSON.stringify(fifo)};
    (${use}).then(() => console.log("opened"), (error) => console.log(error.message)).finally(() => process.exit(0));`;

  test.each([
    ["read", "readRegularFile(fifo)", PIPE],
    ["written to", "writeRegularFile(fifo, 'x')", /ENXIO/], // the system's: nobody reads from it
    ["written to with a reader", "fsp.open(fifo, 'r+').then(() => writeRegularFile(fifo, 'x'))", PIPE],
    ["appended to", "openRegularFile(fifo, 'append')", PIPE],
  ])("a file that becomes a pipe before it is opened is not %s", async (_, use, says) => {
    const { code, signal, stdout } = await runNode(["-e", EXCHANGED(use)], { timeout: 10_000 });
    expect({ code, signal, stdout }).toEqual({ code: 0, signal: null, stdout: expect.stringMatching(says) });
  });

  test("the addon of SD_RPN_BINARY", async () => {
    const script = `require("./lib/index.js").loadModel().catch(({ code, message }) => console.log(code, message));`;
    const { code, stdout } = await runNode(["-e", script], { env: { SD_RPN_BINARY: fifo }, timeout: 10_000 });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^BINARY_NOT_FOUND .* is a named pipe/) });
  });

  test("files that commands write", async () => {
    const [{ image, question }] = demoQuestions();
    const curve = join(folder, "curve.svg");
    execFileSync("mkfifo", [curve]);
    const commands: [args: string[], file: string][] = [
      [["roi", image, question, "--overlay", fifo], "overlay"],
      [["answer", image, question, "--overlay", fifo], "overlay"],
      [["distill", "heads", "--data", "calibration.jsonl", "--out", fifo], "heads file"],
      [["distill", "train", "--labels", "labels.jsonl", "--out", join(folder, "rpn.gguf"), "--plot", curve], "loss curve"],
    ];
    for (const [args, file] of commands) {
      const { code, stderr } = await sdRpn(args);
      expect({ args, code, stderr }).toEqual({ args, code: 1, stderr: expect.stringMatching(`^sd-rpn: IO_ERROR: Cannot write the ${file}: it is a named pipe`) });
    }
  });
}

test("regular files are written anew, and read whole, those included whose size the system gives as 0", async () => {
  const file = join(folder, "file");
  await writeRegularFile(file, "a longer text");
  await writeRegularFile(file, "0123456789");
  expect(await readTextFile(file)).toBe("0123456789");
  expect((await readFileRange(file, 3, 4)).toString()).toBe("3456");
  expect((await readFileRange(file, 8, 4)).toString()).toBe("89");
  await expect(readRegularFile(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  if (existsSync("/proc/self/status")) {
    expect(statSync("/proc/self/status").size).toBe(0);
    expect((await readTextFile("/proc/version")).trim()).toBe(readFileSync("/proc/version", "utf8").trim());
  }
});
