// Pictures on the command line: standard input, turned scans, pages.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoQuestions, ROOT } from "../helpers/demo";
import { pageOf, pdfOf } from "../helpers/pdf";

const [{ image, question }] = demoQuestions();
const folder = mkdtempSync(join(tmpdir(), "sd-rpn-inputs-"));
afterAll(() => rmSync(folder, { recursive: true }));

function sdRpn(args: string[], input?: Buffer) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "lib", "cli", "main.js"), ...args], { cwd: ROOT, input, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("standard input is a picture, and its overlay is drawn of it", () => {
  const overlay = join(folder, "overlay.png");
  const told = sdRpn(["answer", "-", question, "--overlay", overlay], readFileSync(image));
  expect(told).toEqual({ status: 0, stdout: sdRpn(["answer", image, question]).stdout, stderr: "" });
  expect(readFileSync(overlay).subarray(1, 4).toString()).toBe("PNG");
  expect(sdRpn(["roi", "-", question], Buffer.alloc(0))).toMatchObject({ status: 1, stderr: expect.stringMatching(/IMAGE_INVALID.*no bytes at all/) });
});

test("a scan that lies on its side, on the second page", async () => {
  const blank = await sharp({ create: { width: 1008, height: 1008, channels: 3, background: "#888" } }).png().toBuffer();
  const scan = await sharp(image).rotate(270).png().toBuffer();
  const file = join(folder, "scan.tif");
  writeFileSync(file, await sharp([blank, scan], { join: { animated: true } }).tiff({ compression: "lzw" }).toBuffer());
  const told = JSON.parse(sdRpn(["answer", file, question, "--page", "1", "--rotate", "90", "--json"]).stdout) as { text: string; image: object };
  expect(told.image).toEqual({ width: 1008, height: 1008, page: 1, pages: 2, rotated: 90 });
  expect(told.text).toBe((JSON.parse(sdRpn(["answer", image, question, "--json"]).stdout) as { text: string }).text);
});

test("a page of a PDF, and its overlay", () => {
  const file = join(folder, "scan.pdf");
  const cover = { width: 100, height: 100, content: "" };
  writeFileSync(file, pdfOf([cover, pageOf({ width: 1008, height: 1008, jpeg: readFileSync(image) }, 300)]));
  const overlay = join(folder, "page.png");
  const told = JSON.parse(sdRpn(["roi", file, question, "--page", "1", "--dpi", "300", "--overlay", overlay, "--json"]).stdout) as { boxes: object[]; image: object };
  expect(told.image).toEqual({ width: 1008, height: 1008, page: 1, pages: 2, rotated: 0, dpi: 300 });
  expect(told.boxes).toHaveLength((JSON.parse(sdRpn(["roi", image, question, "--json"]).stdout) as { boxes: object[] }).boxes.length);
  expect(readFileSync(overlay).readUInt32BE(16)).toBe(1008);
  expect(sdRpn(["roi", image, question, "--dpi", "300"])).toMatchObject({ status: 1, stderr: expect.stringMatching(/INVALID_ARGUMENT.*no dpi for JPEG/) });
});

test("an overlay lies on the background that the picture was read with", async () => {
  const seen = await sharp(image).resize(300).ensureAlpha().extend({ top: 10, bottom: 10, background: "#00000000" }).png().toBuffer();
  const overlay = join(folder, "green.png");
  expect(sdRpn(["roi", "-", question, "--background", "#00ff00", "--overlay", overlay], seen).status).toBe(0);
  const { data } = await sharp(overlay).raw().toBuffer({ resolveWithObject: true });
  expect([...data.subarray(0, 3)]).toEqual([0, 255, 0]);
});

test.each([
  [["--dpi", "5"], /--dpi/],
  [["--rotate", "45"], /--rotate/],
  [["--page", "-1"], /--page/],
  [["--background", "white"], /--background/],
  [["--image-tokens", "9-3"], /--image-tokens/],
  [["--gate", "2"], /--gate/],
])("%j is told before anything is loaded", (options, message) => {
  expect(sdRpn(["roi", image, question, ...options])).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
});

test.each([
  [["--image-tokens", "100-200"], /imageTokens/],
  [["--gate", "0.5"], /gate/],
])("%j is refused by a model that has no such choice", (options, message) => {
  expect(sdRpn(["roi", image, question, ...options])).toMatchObject({ status: 1, stderr: expect.stringMatching(message) });
});
