import { readFileSync } from "node:fs";
import { join } from "node:path";
import { demoModel, loadModel, type Model } from "../../src/index";
import { readSafetensors, relativeError } from "../helpers/safetensors";

const FIXTURES = join(__dirname, "..", "fixtures", "pico", "parity");
const expected = readSafetensors(join(FIXTURES, "parity.safetensors"));
const cases = JSON.parse(readFileSync(join(FIXTURES, "cases.json"), "utf8")) as { images: string[] }[];
const pictures = cases.flatMap(({ images }, number) => images.map((file, view) => ({ file, number, view })));

let model: Model;
beforeAll(async () => {
  const { model: file, mmproj } = demoModel();
  model = await loadModel({ model: file, mmproj });
});
afterAll(() => model.dispose());

test("there are twelve pictures", () => {
  expect(pictures).toHaveLength(12);
});

test.each(pictures)("encodeImage of $file equals PyTorch's features", async ({ file, number, view }) => {
  const { shape, data } = expected.get(`${number}.features`)!;
  expect(shape).toEqual([2, 144, 192]);
  const features = await model.encodeImage(join(FIXTURES, file));
  expect(relativeError(features, data.subarray(view * 144 * 192, (view + 1) * 144 * 192))).toBeLessThan(2e-3);
});
