// How a picture is read: as it was at the call, upright whatever its file says, turned as the caller says; boxes are always in the picture
// as given.
import sharp from "sharp";
import { loadModel, type Model, type RoI } from "../../src/index";
import { demoQuestions } from "../helpers/demo";

const [{ image, question }] = demoQuestions();
let model: Model;
/** 1008 x 1100 with a region found, so that no turn of it looks like another. */
let scene: Buffer;
let upright: RoI;
beforeAll(async () => {
  model = await loadModel();
  scene = await sharp(image).extend({ bottom: 92, background: "#fff" }).png().toBuffer();
  upright = await model.predictRoI(scene, question);
  expect(upright).toMatchObject({ found: true, image: { width: 1008, height: 1100, rotated: 0 } });
});
afterAll(() => model.dispose());

/** The scene's pixels as a camera stores them where EXIF says `orientation`: the inverse of what readers do. */
async function stored(orientation: number) {
  const turned = sharp(await sharp(scene).rotate({ 5: 270, 6: 270, 7: 90, 8: 90, 3: 180 }[orientation] ?? 0).png().toBuffer());
  const mirrored = orientation === 2 ? turned.flop() : [4, 5, 7].includes(orientation) ? turned.flip() : turned;
  return mirrored.raw().toBuffer({ resolveWithObject: true });
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8])("EXIF orientation %i", (orientation) => {
  test.each<[string, (image: sharp.Sharp) => sharp.Sharp]>([
    ["JPEG", (each) => each.jpeg({ quality: 100, chromaSubsampling: "4:4:4" })],
    ["PNG", (each) => each.png()],
    ["WebP", (each) => each.webp({ lossless: true })],
    ["TIFF", (each) => each.tiff({ compression: "lzw" })],
  ])("of a %s gives the boxes of the upright picture", async (_, encode) => {
    const pixels = await stored(orientation);
    const file = await encode(sharp(pixels.data, { raw: pixels.info }).withMetadata({ orientation })).toBuffer();
    expect((await sharp(file).metadata()).orientation).toBe(orientation);
    const roi = await model.predictRoI(file, question);
    expect(roi.image).toEqual(upright.image);
    expect(roi.region.crop).toEqual(upright.region.crop);
  });
});

describe("rotate", () => {
  test.each([90, 180, 270] as const)("%i: a scan that lies so is read upright, and boxes are in the scan", async (rotate) => {
    // the scan has to be turned clockwise by `rotate`, so it lies turned the other way
    const { data, info } = await sharp(scene).rotate(360 - rotate).raw().toBuffer({ resolveWithObject: true });
    const scan = { data, width: info.width, height: info.height, channels: 3 as const };
    const roi = await model.predictRoI(scan, question, { rotate });
    expect(roi.image).toEqual({ width: info.width, height: info.height, page: 0, pages: 1, rotated: rotate });
    // the same part of the scan as of the upright picture: what is under the box is the same, turned
    const under = async (from: sharp.Sharp, { x, y, width, height }: RoI["boxes"][number]) => from.extract({ left: x, top: y, width, height });
    const [found] = roi.boxes;
    const part = await (await under(sharp(scan.data, { raw: { width: scan.width, height: scan.height, channels: 3 } }), found)).png().toBuffer();
    const expected = await (await under(sharp(scene), upright.boxes[0])).raw().toBuffer();
    expect((await sharp(part).rotate(rotate).raw().toBuffer()).equals(expected)).toBe(true);
    expect(roi.boxesNormalized[0].x).toBeCloseTo(found.x / info.width);
    const ascending = ({ map }: RoI): number[] => [...map.data].sort((a, b) => a - b);
    for (const [i, value] of ascending(roi).entries()) expect(value).toBeCloseTo(ascending(upright)[i], 3);
    expect(roi.region.crop).toEqual({ x: found.x, y: found.y, width: found.width, height: found.height });

    // answers read the same crop, found by the network or given by the caller in the scan's own pixels
    const options = { maxTokens: 8 };
    const straight = await model.answer(scene, question, options);
    expect((await model.answer(scan, question, { ...options, rotate })).text).toBe(straight.text);
    const given = await model.answer(scan, question, { ...options, rotate, roi: [found] });
    expect(given.text).toBe((await model.answer(scene, question, { ...options, roi: [upright.boxes[0]] })).text);

    const session = await model.open(scan, { rotate });
    expect((await session.predictRoI(question)).region.crop).toEqual(roi.region.crop);
    await session.dispose();
  });
});

test("a frame that is written over after the call was taken before", async () => {
  const { data, info } = await sharp(scene).raw().toBuffer({ resolveWithObject: true });
  const alone = (await model.answer(scene, question, { maxTokens: 8 })).text;
  const bytes = new Uint8Array(scene);
  for (let i = 0; i < 10; i++) {
    const frame = Uint8Array.from(data);
    const asked = [
      model.answer({ data: frame, width: info.width, height: info.height, channels: 3 }, question, { maxTokens: 8 }),
      model.answer(bytes, question, { maxTokens: 8 }),
    ];
    const stream = model.answerStream({ data: frame, width: info.width, height: info.height, channels: 3 }, question, { maxTokens: 8 });
    frame.fill(128);
    bytes.fill(0);
    expect((await Promise.all(asked)).map(({ text }) => text)).toEqual([alone, alone]);
    for await (const event of stream) {
      if (event.type === "done") expect(event.answer.text).toBe(alone);
    }
    bytes.set(scene);
  }
}, 120_000);

test("a buffer that was transferred is refused at the call, and the next call works", async () => {
  const data = new Uint8Array(3 * 28 * 28);
  const raw = { data, width: 28, height: 28, channels: 3 as const };
  structuredClone(data.buffer, { transfer: [data.buffer] });
  const refused = { code: "INVALID_ARGUMENT", message: expect.stringMatching(/transferred/) };
  await expect(model.answer(raw, question)).rejects.toMatchObject(refused);
  await expect(model.open(raw)).rejects.toMatchObject(refused);
  await expect(model.answerStream(raw, question).next()).rejects.toMatchObject(refused);
  expect((await model.predictRoI(scene, question)).boxes).toEqual(upright.boxes);
});

test("options of reading belong to the call that reads", async () => {
  const session = await model.open(scene);
  for (const options of [{ rotate: 90 }, { background: "drop" }] as const) {
    await expect(session.answer(question, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/pass it to open/) });
    await expect(session.predictRoI(question, options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  }
  await session.dispose();
  for (const wrong of [{ rotate: 45 }, { background: "white" }, { background: "#fff" }]) {
    await expect(model.answer(scene, question, wrong as object)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  }
});

test("ink that lies in alpha alone is read", async () => {
  // RGB 0 everywhere, alpha 255 - grey: what a black stamp on a clear sheet looks like
  const grey = await sharp(scene).greyscale().raw().toBuffer();
  const ink = Buffer.alloc(grey.length * 4);
  grey.forEach((value, i) => (ink[4 * i + 3] = 255 - value));
  const sheet = await sharp(ink, { raw: { width: 1008, height: 1100, channels: 4 } }).png().toBuffer();
  const flat = await sharp(scene).greyscale().png().toBuffer();
  const options = { maxTokens: 8 };
  expect((await model.answer(sheet, question, options)).text).toBe((await model.answer(flat, question, options)).text);
});

test("what makes wrong answers likely is told with the result", async () => {
  const dark = await sharp(Uint16Array.from({ length: 64 * 64 }, (_, i) => i % 1000), { raw: { width: 64, height: 64, channels: 1 } }).toColourspace("grey16").png().toBuffer();
  expect((await model.predictRoI(dark, question)).hints.map(({ code }) => code)).toEqual(["IMAGE_DARK"]);
  expect((await model.answer(dark, question, { roi: "never", maxTokens: 1 })).hints.map(({ code }) => code)).toEqual(["IMAGE_DARK"]);
  expect((await model.answer(dark, question, { maxTokens: 1 })).hints.map(({ code }) => code)).toEqual(["IMAGE_DARK"]);
});
