import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoQuestions } from "../helpers/demo";
import { sdRpn } from "./run-cli";

const folder = mkdtempSync(join(tmpdir(), "sd-rpn-demo-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** "9 of 10 right" of the summary, as numbers. */
function scoreOf(stdout: string): { plain: number; looked: number; asked: number } {
  const match = /^Right +(\d+) of (\d+) without the RPN, (\d+) of (\d+) with it$/m.exec(stdout);
  expect(match).not.toBeNull();
  const [plain, asked, looked, askedAgain] = match!.slice(1).map(Number);
  expect(askedAgain).toBe(asked);
  return { plain, looked, asked };
}

test("the demo's data: 24 pictures, and questions of every kind whose boxes lie inside", async () => {
  const questions = demoQuestions();
  expect(new Set(questions.map(({ image }) => image)).size).toBe(24);
  expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
  for (const kind of ["object", "form", "coarse"] as const) {
    expect(demoQuestions(kind)).toHaveLength(12);
  }
  for (const { image, answer, kind, box, textBox } of questions) {
    const { width, height } = await sharp(image).metadata();
    expect(answer).toMatch(kind === "coarse" ? /^[a-z]+$/ : /^[A-Z][0-9][A-Z]$/);
    for (const [x0, y0, x1, y1] of [box, textBox].filter((b) => b !== null)) {
      expect(0 <= x0 && x0 < x1 && x1 <= width && 0 <= y0 && y0 < y1 && y1 <= height).toBe(true);
    }
  }
});

test("the demo asks every kind, shows both answers, the truth and the time, and reads more with the RPN", async () => {
  const out = join(folder, "default");
  const { code, stdout, stderr } = await sdRpn(["demo", "--out", out]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).not.toContain("\x1b");
  const { plain, looked, asked } = scoreOf(stdout);
  expect(asked).toBe(10);
  expect(looked).toBeGreaterThan(plain);
  expect(looked).toBeGreaterThanOrEqual(9);
  for (const kind of ["object", "form", "coarse"]) {
    expect(stdout).toMatch(new RegExp(`\\.jpg, ${kind}$`, "m"));
  }
  expect(stdout.match(/^ +truth .* decode +vision +prefill +rpn +crop +generate +total$/gm)).toHaveLength(asked);
  const rights = (label: string) => stdout.match(new RegExp(`^  ${label} RPN +\\S+ +ok +.* ms$`, "gm"))?.length ?? 0;
  expect({ plain: rights("without"), looked: rights("with") }).toEqual({ plain, looked });
  expect(stdout).toContain("were taught in training to look at the asked text");

  const overlays = readdirSync(out);
  expect(overlays).toHaveLength(asked);
  for (const overlay of overlays) {
    expect(await sharp(join(out, overlay)).metadata()).toMatchObject({ format: "png", width: 1008, height: 1008 });
  }
});

test("--limit says how many questions are asked, all of them where it is larger", async () => {
  expect(scoreOf((await sdRpn(["demo", "--limit", "2", "--out", folder])).stdout).asked).toBe(2);
  const { asked, plain, looked } = scoreOf((await sdRpn(["demo", "--limit", "1000", "--out", folder])).stdout);
  expect(asked).toBe(36);
  // 0.945 of the codes and all coarse questions in demo/README.md, here 36 questions; a tenth of slack.
  expect(looked).toBeGreaterThanOrEqual(32);
  expect(plain).toBeLessThanOrEqual(16);
});

test("a folder that cannot be made is an IO_ERROR", async () => {
  const { code, stderr } = await sdRpn(["demo", "--out", join("package.json", "out")]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^sd-rpn: IO_ERROR: Cannot make the folder for overlays: [^\n]+\n$/);
});
