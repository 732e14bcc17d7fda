import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import type { TaskName } from "../../src/eval/task";

/** A small copy of a benchmark's release: its path and its pictures (told apart by their widths). */
export interface BenchmarkFiles {
  data: string;
  images: string | undefined;
}

/** A drawn picture with a distinct width: a letter-like block on a plain background. */
export async function draw(width: number, format: "png" | "jpeg" = "png"): Promise<Buffer> {
  const block = { input: { create: { width: 8, height: 8, channels: 3 as const, background: { r: 20, g: 40, b: 200 } } }, left: width % 16, top: 4 };
  return sharp({ create: { width, height: 24, channels: 3, background: { r: 250, g: 240, b: 200 } } }).composite([block]).toFormat(format).toBuffer();
}

async function drawInto(folder: string, pictures: Record<string, number>): Promise<void> {
  for (const [name, width] of Object.entries(pictures)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, await draw(width, /jpe?g$/.test(name) ? "jpeg" : "png"));
  }
}

function writeJson(file: string, value: unknown, indent?: number): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(value, null, indent));
}

function writeLines(file: string, records: unknown[]): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}

/** As pandas writes it. */
export function tsv(rows: (string | number)[][]): string {
  const cell = (value: string | number): string => (/[\t\n"]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return rows.map((row) => `${row.map(cell).join("\t")}\n`).join("");
}

const ten = (answer: string): string[] => Array.from({ length: 10 }, () => answer);

export const TEXTVQA = [
  { question: "what is the BRAND of this camera?", image_id: "003a8ae2ef43b901", image_classes: ["Camera"], image_width: 40, image_height: 24, answers: ten("nous les gosses"), question_id: 34602, set_name: "val" },
  { question: "what does the small white text spell?", image_id: "f652f4b0d5a0a1e2", image_classes: ["Tower"], image_width: 41, image_height: 24, answers: ten("copenhagen"), question_id: 34603, set_name: "val" },
];

export const DOCVQA = [
  { questionId: 49153, question: "What is the ‘actual’ value per 1000, during the year 1975?", question_types: ["figure/diagram"], image: "documents/pybv0228_81.png", docId: 14465, ucsf_document_id: "pybv0228", ucsf_document_page_no: "81", answers: ["0.28"], data_split: "val" },
  { questionId: 24580, question: "What is name of university?", question_types: ["others"], image: "documents/nkbl0226_1.png", docId: 7078, ucsf_document_id: "nkbl0226", ucsf_document_page_no: "1", answers: ["university of california", "University of California"], data_split: "val" },
];

export const INFOVQA = [
  { questionId: 98313, question: "Which social platform has heavy female audience?", image_local_name: "37313.jpeg", image_url: "https://example.org/37313.jpeg", ocr_output_file: "37313.json", answers: ["pinterest"], data_split: "val" },
  { questionId: 98314, question: "What % of users are men?", image_local_name: "37313.jpeg", image_url: "https://example.org/37313.jpeg", ocr_output_file: "37313.json", answers: ["40%", "40"], data_split: "val" },
];

export const CHARTQA = {
  human: [{ imgname: "41699051005347.png", query: "How many food item is shown in the bar graph?", label: "14" }],
  augmented: [
    { imgname: "two_col_1.png", query: "What was the share in 2019?", label: "72.5" },
    { imgname: "two_col_1.png", query: "Which year was best?", label: "Total" },
  ],
};

export const OCRBENCH = [
  { dataset_name: "IIIT5K", id: 2843, image_path: "IIIT5K/test/918_1.png", question: "what is written in the image?", answers: "CENTRE", type: "Regular Text Recognition" },
  { dataset_name: "svt", id: 2843, image_path: "svt/image/img_0293.jpg", question: " what is written in the image? ", answers: ["under", "below"], type: "Irregular Text Recognition" },
  { dataset_name: "HME100k", id: 7, image_path: "HME100k/7.jpg", question: "Please write out the expression of the formula in the image using LaTeX format.", answers: "X ^ { 2 }", type: "Handwritten Mathematical Expression Recognition" },
];

export const VSTAR = [
  { image: "direct_attributes/sa_4690.jpg", text: "What is the material of the glove?\n(A) rubber\n(B) cotton\n(C) kevlar\n(D) leather\nAnswer with the option's letter from the given choices directly.", category: "direct_attributes", label: "A", question_id: 0 },
  { image: "relative_position/sa_10033.jpg", text: "Is the dog on the left or right side of the car?\n(A) right \n(B) left\nAnswer with the option's letter from the given choices directly.", category: "relative_position", label: "B", question_id: 0 },
];

export const POPE = {
  random: [
    { question_id: 0, image: "COCO_val2014_000000548882.jpg", image_id: 548882, text: "Is there a dining table in the image?", label: "yes" },
    { question_id: 1, image: "COCO_val2014_000000548882.jpg", image_id: 548882, text: "Is there a chair in the image?", label: "no" },
  ],
  popular: [{ question_id: 0, image: "COCO_val2014_000000008211.jpg", image_id: 8211, text: "Is there a car in the image?", label: "no" }],
  adversarial: [{ question_id: 0, image: "COCO_val2014_000000008211.jpg", image_id: 8211, text: "Is there a motorcycle in the image?", label: "yes" }],
};

export const HRBENCH_COLUMNS = ["index", "question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image"];
export const HRBENCH = [
  [0, "What's the number on the \"big\" sign?", "B", "single", "3", "12", "7", "20", "A"],
  [1, "What's the number on the \"big\" sign?", "C", "single", "12", "3", "7", "20", "B"],
  [2, "Where is the man relative to the bus?", "A", "cross", "left", "right", "behind", "in front", "A"],
];
const HRBENCH_WIDTHS = [300, 300, 310];

export const CUSTOM = [
  { id: "a", image: "shop.png", question: "What is the total?", answer: "12.50", box: [10, 2, 30, 12], kind: "number" },
  { id: "b", image: "shop.png", question: "Who paid?", answers: ["Mia", "mia b."], kind: "name" },
  { image: "door.png", question: "Is it open?", options: ["yes", "no"], answer: "no" },
];

/** Writes the benchmark as its publishers release it, pictures included. */
export async function writeBenchmark(task: TaskName, folder: string): Promise<BenchmarkFiles> {
  mkdirSync(folder, { recursive: true });
  const at = (...names: string[]): string => join(folder, ...names);
  switch (task) {
    case "textvqa":
      writeJson(at("TextVQA_0.5.1_val.json"), { dataset_type: "val", dataset_name: "textvqa", dataset_version: "0.5.1", data: TEXTVQA });
      await drawInto(at("train_images"), { "003a8ae2ef43b901.jpg": 40, "f652f4b0d5a0a1e2.jpg": 41 });
      return { data: at("TextVQA_0.5.1_val.json"), images: at("train_images") };
    case "docvqa":
      writeJson(at("val_v1.0_withQT.json"), { dataset_name: "docvqa", dataset_version: "1.0", dataset_split: "val", data: DOCVQA }, 2);
      await drawInto(at("spdocvqa_images"), { "pybv0228_81.png": 50, "nkbl0226_1.png": 51 });
      return { data: at("val_v1.0_withQT.json"), images: at("spdocvqa_images") };
    case "infovqa":
      writeJson(at("infographicsVQA_val_v1.0_withQT.json"), { dataset_name: "infographicVQA", dataset_version: "1.0", dataset_split: "val", data: INFOVQA });
      await drawInto(at("infographicsvqa_images"), { "37313.jpeg": 60 });
      return { data: at("infographicsVQA_val_v1.0_withQT.json"), images: at("infographicsvqa_images") };
    case "chartqa":
      writeJson(at("test_human.json"), CHARTQA.human);
      writeJson(at("test_augmented.json"), CHARTQA.augmented);
      await drawInto(at("png"), { "41699051005347.png": 70, "two_col_1.png": 71 });
      return { data: folder, images: at("png") };
    case "ocrbench":
      writeJson(at("OCRBench.json"), OCRBENCH, 4);
      await drawInto(at("OCRBench_Images"), { "IIIT5K/test/918_1.png": 80, "svt/image/img_0293.jpg": 81, "HME100k/7.jpg": 82 });
      return { data: at("OCRBench.json"), images: at("OCRBench_Images") };
    case "vstar":
      writeLines(at("test_questions.jsonl"), VSTAR);
      await drawInto(folder, { "direct_attributes/sa_4690.jpg": 90, "relative_position/sa_10033.jpg": 91 });
      writeJson(at("direct_attributes", "sa_4690.json"), { target_object: ["glove"], bbox: [[12, 4, 8, 6]], question: "", options: [] });
      return { data: at("test_questions.jsonl"), images: undefined };
    case "pope":
      for (const [category, records] of Object.entries(POPE)) {
        writeLines(at(`coco_pope_${category}.json`), records);
      }
      await drawInto(at("val2014"), { "COCO_val2014_000000548882.jpg": 100, "COCO_val2014_000000008211.jpg": 101 });
      return { data: folder, images: at("val2014") };
    case "hrbench4k":
    case "hrbench8k": {
      const file = at(task === "hrbench4k" ? "hr_bench_4k.tsv" : "hr_bench_8k.tsv");
      const pictures = await Promise.all(HRBENCH_WIDTHS.map((width) => draw(width, "jpeg")));
      writeFileSync(file, tsv([HRBENCH_COLUMNS, ...HRBENCH.map((row, index) => [...row, pictures[index].toString("base64")])]));
      return { data: file, images: undefined };
    }
    case "custom":
      writeLines(at("questions.jsonl"), CUSTOM);
      await drawInto(folder, { "shop.png": 120, "door.png": 121 });
      return { data: at("questions.jsonl"), images: undefined };
  }
}
