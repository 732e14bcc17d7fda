import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import sharp from "sharp";
import { TASK_NAMES, type EvalItem, type TaskName } from "../../src/eval/task";
import { taskOf, TASKS } from "../../src/eval/tasks/index";
import { writeBenchmark } from "../helpers/benchmark-files";

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), "sd-rpn-eval-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(task: TaskName, data: string, images?: string): Promise<EvalItem[]> {
  const items: EvalItem[] = [];
  for await (const item of taskOf(task).read(data, { images })) {
    items.push(item);
  }
  return items;
}

async function widths(items: EvalItem[]): Promise<number[]> {
  const found = [];
  for (const { image } of items) {
    expect(typeof image === "function" || isAbsolute(image)).toBe(true);
    found.push((await sharp(typeof image === "function" ? await image() : image).metadata()).width);
  }
  return found;
}

const PHRASE = "\nAnswer the question using a single word or phrase.";
const LETTER = "\nAnswer with the option's letter from the given choices directly.";

/** By task: what of each item is promised, and the widths of the pictures. */
const EXPECTED: Record<TaskName, { items: Partial<EvalItem>[]; widths: number[] }> = {
  textvqa: {
    items: [
      { id: "34602", prompt: `What is the brand of this camera?${PHRASE}`, question: "what is the BRAND of this camera?", answers: Array(10).fill("nous les gosses"), imageName: "003a8ae2ef43b901.jpg" },
      { id: "34603", prompt: `What does the small white text spell?${PHRASE}` },
    ],
    widths: [40, 41],
  },
  docvqa: {
    items: [
      { id: "49153", prompt: `What is the ‘actual’ value per 1000, during the year 1975?${PHRASE}`, answers: ["0.28"] },
      { id: "24580", prompt: `What is name of university?${PHRASE}`, answers: ["university of california", "University of California"] },
    ],
    widths: [50, 51],
  },
  infovqa: {
    items: [
      { id: "98313", prompt: `Which social platform has heavy female audience?${PHRASE}`, answers: ["pinterest"], imageName: "37313.jpeg" },
      { id: "98314", prompt: `What % of users are men?${PHRASE}`, answers: ["40%", "40"], imageName: "37313.jpeg" },
    ],
    widths: [60, 60],
  },
  chartqa: {
    items: [
      { id: "human-0", prompt: "How many food item is shown in the bar graph?\nAnswer the question with a single word.", answers: ["14"], category: "human" },
      { id: "augmented-0", prompt: "What was the share in 2019?\nAnswer the question with a single word.", answers: ["72.5"], category: "augmented" },
      { id: "augmented-1", category: "augmented", answers: ["Total"] },
    ],
    widths: [70, 71, 71],
  },
  ocrbench: {
    items: [
      { id: "0", prompt: "what is written in the image?", answers: ["CENTRE"], category: "Regular Text Recognition", extra: { dataset: "IIIT5K" } },
      { id: "1", prompt: "what is written in the image?", answers: ["under", "below"], category: "Irregular Text Recognition" },
      { id: "2", answers: ["X ^ { 2 }"], extra: { dataset: "HME100k" } },
    ],
    widths: [80, 81, 82],
  },
  vstar: {
    items: [
      {
        id: "direct_attributes-0",
        question: "What is the material of the glove?",
        prompt: `What is the material of the glove?\nA. rubber\nB. cotton\nC. kevlar\nD. leather${LETTER}`,
        answers: ["A"],
        options: [
          { letter: "A", text: "rubber" },
          { letter: "B", text: "cotton" },
          { letter: "C", text: "kevlar" },
          { letter: "D", text: "leather" },
        ],
        category: "direct_attributes",
        boxes: [{ x: 12, y: 4, width: 8, height: 6 }],
      },
      { id: "relative_position-0", prompt: `Is the dog on the left or right side of the car?\nA. right\nB. left${LETTER}`, answers: ["B"], category: "relative_position" },
    ],
    widths: [90, 91],
  },
  pope: {
    items: [
      { id: "random-0", prompt: `Is there a dining table in the image?${PHRASE}`, answers: ["yes"], category: "random" },
      { id: "random-1", answers: ["no"], category: "random", imageName: "COCO_val2014_000000548882.jpg" },
      { id: "popular-0", answers: ["no"], category: "popular" },
      { id: "adversarial-0", answers: ["yes"], category: "adversarial" },
    ],
    widths: [100, 100, 101, 101],
  },
  hrbench4k: {
    items: [
      {
        id: "0",
        prompt: "What's the number on the \"big\" sign?\nA. 3\nB. 12\nC. 7\nD. 20\nAnswer the option letter directly.",
        answers: ["B"],
        category: "single",
        extra: { cycle: "A" },
      },
      { id: "1", answers: ["C"], extra: { cycle: "B" } },
      { id: "2", prompt: "Where is the man relative to the bus?\nA. left\nB. right\nC. behind\nD. in front\nAnswer the option letter directly.", answers: ["A"], category: "cross" },
    ],
    widths: [300, 300, 310],
  },
  hrbench8k: { items: [{ id: "0" }, { id: "1" }, { id: "2" }], widths: [300, 300, 310] },
  custom: {
    items: [
      { id: "a", prompt: "What is the total?", answers: ["12.50"], category: "number", boxes: [{ x: 10, y: 2, width: 20, height: 10 }], imageName: "shop.png" },
      { id: "b", answers: ["Mia", "mia b."], category: "name" },
      { id: "3", prompt: `Is it open?\nA. yes\nB. no${LETTER}`, answers: ["B"] },
    ],
    widths: [120, 120, 121],
  },
};

test.each(TASK_NAMES)("%s: the release as its publishers give it", async (task) => {
  const { data, images } = await writeBenchmark(task, join(folder, task));
  const items = await read(task, data, images);
  expect(items).toEqual(EXPECTED[task].items.map((item) => expect.objectContaining(item)));
  expect(await widths(items)).toEqual(EXPECTED[task].widths);
});

// without the folder of pictures: beside the file, or where the publishers' archives put them
test.each(["textvqa", "docvqa", "infovqa", "chartqa", "pope"] as const)("%s: pictures are found where the archives put them", async (task) => {
  const { data } = await writeBenchmark(task, join(folder, `${task}-beside`));
  expect(await widths(await read(task, data))).toEqual(EXPECTED[task].widths);
});

test.each(TASK_NAMES.filter((name) => name !== "custom"))("%s: the folder of the release in place of its file", async (task) => {
  const whole = join(folder, `${task}-folder`);
  const { images } = await writeBenchmark(task, whole);
  expect((await read(task, whole, images)).map(({ id }) => id)).toEqual(EXPECTED[task].items.map(({ id }) => id));
});

test("HR-Bench: the same picture in two rows has one name", async () => {
  const { data } = await writeBenchmark("hrbench4k", join(folder, "names"));
  const [a, b, c] = (await read("hrbench4k", data)).map(({ imageName }) => imageName);
  expect(a).toBe(b);
  expect(a).not.toBe(c);
});

test("every task has the thresholds and lengths of the published evaluation", () => {
  const defaults = Object.fromEntries(TASK_NAMES.map((name) => [name, [TASKS[name].defaults.threshold, TASKS[name].defaults.maxTokens, TASKS[name].defaults.items]]));
  expect(defaults).toEqual({
    textvqa: [0.15, 1024, 5000],
    docvqa: [0.1, 32, 5349],
    infovqa: [0.15, 32, 2801],
    chartqa: [0.15, 16, 2500],
    ocrbench: [0.05, 128, 1000],
    vstar: [0.1, 16, 191],
    pope: [0.15, 128, 9000],
    hrbench4k: [0.1, 1024, 800],
    hrbench8k: [0.1, 1024, 800],
    custom: [null, 128, null],
  });
});

test("a name that is no task's is INVALID_ARGUMENT with the names that there are", () => {
  expect(() => taskOf("textVQA")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("textvqa, docvqa") }));
});
