// TEMP for development
import { readQuestions } from "../../data/questions.js";
import type { Task } from "../task.js";
const custom: Task = {
  name: "custom", title: "Custom", description: "",
  defaults: { maxTokens: 16, threshold: null, split: null },
  async *read(data, options = {}) {
    for (const q of await readQuestions(data, options)) {
      yield { id: q.id, image: q.path, imageName: q.image, prompt: q.question, question: q.question, answers: q.answers, category: q.kind,
        boxes: q.box ? [{ x: q.box[0], y: q.box[1], width: q.box[2] - q.box[0], height: q.box[3] - q.box[1] }] : undefined };
    }
  },
  score: (item, prediction) => ({ score: item.answers.includes(prediction.trim()) ? 1 : 0, parsed: true }),
  aggregate(scored) {
    const mean = (rows: typeof scored) => rows.reduce((s, r) => s + r.score, 0) / rows.length;
    const cats = [...new Set(scored.map((s) => s.item.category!))].sort();
    return { main: { name: "accuracy", label: "Exact match", value: mean(scored), unit: "share", items: scored.length },
      categories: cats.map((c) => { const rows = scored.filter((s) => s.item.category === c); return { name: c, label: c, value: mean(rows), unit: "share", items: rows.length }; }), more: [], unparsed: 0 };
  },
};
export function taskOf(_name: string): Task { return custom; }
