import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoQuestions, ROOT } from "../helpers/demo";
import { checkBuilt, CLI, sdRpn } from "./run-cli";

const { model, mmproj } = { model: join("demo", "pico-llava-f16.gguf"), mmproj: join("demo", "pico-mmproj-f16.gguf") };
const [object] = demoQuestions("object");
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-cli-"));
const temporary = (name: string): string => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("help and version", () => {
  test.each([["--help"], ["help"]])("%s lists the commands and the exit codes", async (argument) => {
    const { code, stdout, stderr } = await sdRpn([argument]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const word of ["demo", "answer", "roi", "info", "convert", "SD_RPN_LOG", "Exit codes"]) {
      expect(stdout).toContain(word);
    }
  });

  test.each([
    ["answer", ["--roi", "--threshold", "--max-tokens", "--temperature", "--stop", "--json", "--overlay", "--model", "--gpu-layers"]],
    ["roi", ["--threshold", "--json", "--overlay", "--rpn"]],
    ["info", ["--json", "--mmproj"]],
    ["convert", ["--checkpoint", "--out", "--type", "q4_k"]],
    ["demo", ["--out", "--limit"]],
  ])("%s --help names its options", async (command, options) => {
    const { code, stdout } = await sdRpn([command, "--help"]);
    expect(code).toBe(0);
    for (const option of options) {
      expect(stdout).toContain(option);
    }
  });

  test("--version prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    expect(await sdRpn(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
});

describe("wrong usage ends with 2 and says what is wrong", () => {
  const ask = ["answer", object.image, "q"];
  test.each<[string[], RegExp]>([
    [["anser"], /unknown command 'anser'\n\(Did you mean answer\?\)/],
    [[...ask, "--treshold", "1"], /unknown option '--treshold'\n\(Did you mean --threshold\?\)/],
    [[...ask, "--frobnicate"], /unknown option '--frobnicate'/],
    [["answer", object.image], /missing required argument 'question'/],
    [["answer"], /missing required argument 'image'/],
    [[...ask, "more"], /too many arguments/],
    [[...ask, "--threshold", "0.1x"], /Expected number between -1 and 1 for --threshold but received 0\.1x/],
    [[...ask, "--threshold", "2"], /Expected number between -1 and 1 for --threshold but received 2/],
    [[...ask, "--threshold", ""], /--threshold but received an empty text/],
    [[...ask, "--max-tokens", "0"], /Expected integer between 1 and 1048576 for --max-tokens/],
    [[...ask, "--max-tokens", "1.5"], /--max-tokens but received 1\.5/],
    [[...ask, "--seed", "0x10"], /--seed but received 0x10/],
    [[...ask, "--gpu-layers", "all"], /integer between 0 and 1000 or auto for --gpu-layers but received all/],
    [[...ask, "--roi", "sometimes"], /Expected auto, always, never or x,y,width,height/],
    [[...ask, "--roi", "1,2,3"], /Expected auto, always, never or x,y,width,height/],
    [[...ask, "--roi", "1,2,3,4px"], /Expected auto, always, never or x,y,width,height/],
    [[...ask, "--roi", "1,2,0,4"], /--roi\[0\]\.width/],
    [[...ask, "--roi", "never", "--overlay", "o.png"], /--roi auto or always with --overlay/],
    [[...ask, "--mmproj", mmproj], /Expected --model with --mmproj and --rpn/],
    [[...ask, "--rpn", "rpn.gguf"], /Expected --model with --mmproj and --rpn/],
    [["convert", "--checkpoint", "x"], /required option '--out <file>'/],
    [["convert", "--checkpoint", "x", "--out", "y", "--type", "q9"], /f32, f16, q8_0, q4_k/],
    [["demo", "--limit", "0"], /Expected integer of at least 1 for --limit/],
  ])("%j", async (args, message) => {
    const { code, stdout, stderr } = await sdRpn(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^sd-rpn: /);
    expect(stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
  });

  test("no command at all prints the help on stderr", async () => {
    const { code, stdout, stderr } = await sdRpn([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: sd-rpn");
  });

  test("an unknown level in SD_RPN_LOG", async () => {
    const { code, stderr } = await sdRpn(["info"], { SD_RPN_LOG: "loud" });
    expect(code).toBe(2);
    expect(stderr).toBe("sd-rpn: Expected 1, debug, info, warn or error for SD_RPN_LOG but received loud\n");
  });
});

describe("errors end with 1 and one line with the code", () => {
  test.each<[string, string[]]>([
    ["MODEL_NOT_FOUND", ["answer", object.image, "q", "--model", "nowhere.gguf", "--mmproj", mmproj]],
    ["MODEL_NOT_FOUND", ["info", "--model", model, "--mmproj", mmproj, "--rpn", "nowhere.gguf"]],
    ["MODEL_INVALID", ["info", "--model", "package.json", "--mmproj", mmproj]],
    ["IMAGE_INVALID", ["answer", "nowhere.jpg", "q"]],
    ["IMAGE_INVALID", ["roi", "package.json", "q"]],
    ["INVALID_ARGUMENT", ["answer", object.image, ""]],
    ["RPN_NOT_LOADED", ["roi", object.image, "q", "--model", model, "--mmproj", mmproj]],
    ["RPN_NOT_LOADED", ["answer", object.image, "q", "--model", model, "--mmproj", mmproj, "--overlay", "o.png"]],
    ["IO_ERROR", ["roi", object.image, object.question, "--json", "--overlay", join("nowhere", "o.png")]],
    ["CHECKPOINT_INVALID", ["convert", "--checkpoint", "nowhere", "--out", join(folder, "never.gguf")]],
  ])("%s: %j", async (expected, args) => {
    const { code, stderr } = await sdRpn(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^sd-rpn: ${expected}: [^\\n]+\\n$`));
  });
});

describe("answer", () => {
  const ask = ["answer", object.image, object.question];

  test("reads the code with the second look, and does not without it", async () => {
    const looked = await sdRpn(ask);
    expect(looked).toMatchObject({ code: 0, stdout: `${object.answer}\n`, stderr: "" });
    const plain = await sdRpn([...ask, "--roi", "never"]);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
    expect(plain.stdout).toMatch(/^\S+\n$/);
    expect(plain.stdout).not.toBe(looked.stdout);
  });

  test("looks at boxes that are given, and stops where it is told to", async () => {
    const [left, top, right, bottom] = object.box;
    const given = ["--roi", `${left},${top},${right - left},${bottom - top}`];
    expect((await sdRpn([...ask, ...given])).stdout).toBe(`${object.answer}\n`);
    expect((await sdRpn([...ask, ...given, "--stop", "#", "--stop", object.answer[1]])).stdout).toBe(`${object.answer[0]}\n`);
    const both = await sdRpn([...ask, "--json", "--roi", `${given[1]};0,0,300,300`]);
    expect(JSON.parse(both.stdout)).toMatchObject({ usedRoI: true, roi: null, usage: { roiTokens: 288 } });
  });

  test("--json prints one document with everything, --overlay a picture of the same size", async () => {
    const overlay = temporary("answer.png");
    const { code, stdout, stderr } = await sdRpn([...ask, "--json", "--overlay", overlay, "--max-tokens", "2", "--threshold", "0.2"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.trim().split("\n")).toHaveLength(1);
    const answer = JSON.parse(stdout) as { roi: { map: { data: unknown[] }; boxes: unknown[] } };
    expect(answer).toMatchObject({
      text: object.answer.slice(0, 2),
      roi: {
        found: true,
        boxes: expect.any(Array),
        region: { kind: "crop", crop: expect.objectContaining({ width: expect.any(Number) }), keep: null },
        boxesNormalized: expect.any(Array),
        map: { width: 12, height: 12, data: expect.any(Array) },
        image: { width: 1008, height: 1008, page: 0, pages: 1, rotated: 0 },
        hints: [],
        timings: expect.objectContaining({ rpn: expect.any(Number) }),
      },
      usedRoI: true,
      finishReason: "length",
      image: { width: 1008, height: 1008, page: 0, pages: 1, rotated: 0 },
      hints: [],
      usage: { promptTokens: expect.any(Number), imageTokens: 144, roiTokens: 144, completionTokens: 2, reusedTokens: expect.any(Number) },
      timings: expect.objectContaining({ decode: expect.any(Number), generate: expect.any(Number), total: expect.any(Number) }),
    });
    expect(answer.roi.map.data).toHaveLength(144);
    expect(answer.roi.map.data.every((value) => typeof value === "number" && value >= 0 && value <= 1)).toBe(true);
    expect(await sharp(overlay).metadata()).toMatchObject({ format: "png", width: 1008, height: 1008 });
  });

  test("sampling with a seed repeats itself, and top-k 1 is greedy", async () => {
    const sampled = [...ask, "--temperature", "3", "--seed", "5", "--roi", "never"];
    const [first, second] = [await sdRpn(sampled), await sdRpn(sampled)];
    expect(first.code).toBe(0);
    expect(first.stdout).toBe(second.stdout);
    expect((await sdRpn([...ask, "--temperature", "3", "--top-k", "1"])).stdout).toBe(`${object.answer}\n`);
  });
});

describe("roi", () => {
  test("prints found, boxes, region and time", async () => {
    const { code, stdout, stderr } = await sdRpn(["roi", object.image, object.question]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^found +yes\nbox +\d+ x \d+ at \d+, \d+, score 0\.\d{3}\n(box .*\n)*region +(crop|masked), .+\ntime +decode .+ ms\n$/);
    expect(stdout).not.toContain("\x1b");
  });

  test("--json has the map; nothing is found above a threshold of 1", async () => {
    const { code, stdout } = await sdRpn(["roi", object.image, object.question, "--json", "--threshold", "1"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ found: false, boxes: [], region: { kind: "none", crop: null, keep: null }, map: { width: 12, height: 12 } });
  });

  test("--tiles finds a scene at the end of a long page, and what is too small is said without it", async () => {
    const page = temporary("page.png");
    await sharp(object.image).extend({ top: 4 * 1008, background: "#fff" }).toFile(page);
    const tiled = await sdRpn(["roi", page, object.question, "--tiles", "auto", "--json"]);
    const { found, tiles, region } = JSON.parse(tiled.stdout);
    expect([tiled.code, found, tiles.length]).toEqual([0, true, 7]);
    expect(region.crop.y).toBeGreaterThanOrEqual(4 * 1008);
    expect(await sdRpn(["answer", page, object.question, "--tiles", "7"])).toMatchObject({ code: 0, stdout: `${object.answer}\n`, stderr: "" });
    expect((await sdRpn(["roi", page, object.question, "--threshold", "1"])).stderr).toMatch(/text of less than .* with tiles/);
    expect(await sdRpn(["roi", page, object.question, "--tiles", "1"])).toMatchObject({ code: 2, stderr: expect.stringContaining("--tiles") });
  });

  test("--overlay writes a picture of the same size", async () => {
    const overlay = temporary("roi.png");
    expect(await sdRpn(["roi", object.image, object.question, "--overlay", overlay])).toMatchObject({ code: 0, stderr: "" });
    expect(await sharp(overlay).metadata()).toMatchObject({ format: "png", width: 1008, height: 1008 });
  });
});

describe("info", () => {
  test("says what was loaded, without a word of llama.cpp's", async () => {
    const { code, stdout, stderr } = await sdRpn(["info"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^model +pico-llava, llama, 6 layers.*\nfiles +.*pico-llava-f16\.gguf, .*pico-mmproj-f16\.gguf, .*pico-rpn-f16\.gguf\n/);
    expect(stdout.trim().split("\n")).toHaveLength(8);
  });

  test("--json; loading takes the options", async () => {
    const { code, stdout } = await sdRpn(["info", "--json", "--model", model, "--mmproj", mmproj, "--threads", "1", "--context-size", "512", "--gpu-layers", "0"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ architecture: "llama", layers: 6, rpn: null, threads: 1, contextSize: 512, grid: { width: 12, height: 12 } });
  });

  test("SD_RPN_LOG shows messages on stderr from its level on", async () => {
    const info = await sdRpn(["info"], { SD_RPN_LOG: "1" });
    expect(info.code).toBe(0);
    expect(info.stderr).toContain("llama_model_loader");
    expect(info.stdout).not.toContain("llama_model_loader");
    const debug = await sdRpn(["info"], { SD_RPN_LOG: "debug" });
    expect(debug.stderr.split("\n").length).toBeGreaterThan(info.stderr.split("\n").length);
    expect((await sdRpn(["info"], { SD_RPN_LOG: "error" })).stderr).toBe("");
  });
});

describe("convert", () => {
  const checkpoint = join("test", "fixtures", "pico", "rpn-checkpoint");

  test("makes the same RPN file always, byte for byte", async () => {
    const out = temporary("f16.gguf");
    const { code, stdout, stderr } = await sdRpn(["convert", "--checkpoint", checkpoint, "--out", out, "--name", "pico-llava"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^wrote +.*f16\.gguf\ntensors +\d+\nread +[\d.]+ MB\nwritten +[\d.]+ MB\n$/);
    const hash = createHash("sha256").update(readFileSync(out)).digest("hex");
    expect(hash).toBe("3fa0abee23927ee13a157fa0346e5b83290b694732d733794376422a3b200759");
  });

  test("q4_k lists what it could not do, and the file answers; its threshold is in it", async () => {
    const out = temporary("q4.gguf");
    const { code, stdout } = await sdRpn(["convert", "--checkpoint", checkpoint, "--out", out, "--type", "q4_k", "--threshold", "0.25"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fallback +blk\.0\.attn_q\.weight: q4_k -> q8_0$/m);
    const files = ["--model", model, "--mmproj", mmproj, "--rpn", out];
    const info = JSON.parse((await sdRpn(["info", "--json", ...files])).stdout) as { rpn: { threshold: number } };
    expect(info.rpn.threshold).toBeCloseTo(0.25, 6);
    expect((await sdRpn(["answer", object.image, object.question, ...files])).stdout).toBe(`${object.answer}\n`);
  });

  test("makes all three files of a whole checkpoint, which info reads; --only rpn makes the last", async () => {
    const golden = join("test", "fixtures", "golden", "qwen", "qzoom-qwen3");
    const out = temporary("whole");
    const { code, stdout, stderr } = await sdRpn(["convert", "--checkpoint", golden, "--base", golden, "--out", out, "--type", "q8_0"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [model, mmproj, rpn] = ["model", "mmproj", "rpn"].map((name) => join(out, `${name}.gguf`));
    expect(stdout.split("\n").slice(0, 3)).toEqual([model, mmproj, rpn].map((file) => `wrote    ${file}`));
    const info = JSON.parse((await sdRpn(["info", "--json", "--model", model, "--mmproj", mmproj, "--rpn", rpn])).stdout) as { architecture: string; rpn: { type: string } };
    expect(info).toMatchObject({ architecture: "qwen3vl", rpn: { type: "q8_0", branchLayer: 3 } });
    const alone = temporary("alone");
    expect((await sdRpn(["convert", "--checkpoint", golden, "--out", alone, "--only", "rpn", "--type", "q8_0"])).code).toBe(0);
    expect(readFileSync(alone).equals(readFileSync(rpn))).toBe(true);
    expect((await sdRpn(["convert", "--checkpoint", golden, "--out", alone, "--only", "model"])).stderr).toContain("Allowed choices are rpn");
  });

  test("leaves no file behind where it fails", async () => {
    const out = temporary("none.gguf");
    expect((await sdRpn(["convert", "--checkpoint", folder, "--out", out])).code).toBe(1);
    expect(existsSync(out)).toBe(false);
  });
});

describe("the process", () => {
  /** Starts a demo long enough to be disturbed, calls `disturb` at its first output and resolves to how it ended. */
  function disturbed(disturb: (child: ReturnType<typeof spawn>) => void): Promise<{ code: number | null; stderr: string }> {
    checkBuilt();
    return new Promise((resolve, reject) => {
      const args = [CLI, "demo", "--limit", "36", "--out", temporary("disturbed")];
      const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
      let stderr = "";
      child.stderr.on("data", (data) => (stderr += data));
      child.stdout.once("data", () => disturb(child));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, stderr }));
    });
  }

  test("Ctrl-C ends it in order, with 130", async () => {
    const result = await disturbed((child) => child.kill("SIGINT"));
    expect(result).toEqual({ code: 130, stderr: expect.stringMatching(/^sd-rpn: ABORTED: [^\n]+\n$/) });
  });

  test("a reader that goes away ends it without a word", async () => {
    expect(await disturbed((child) => child.stdout?.destroy())).toEqual({ code: 141, stderr: "" });
  });
});
