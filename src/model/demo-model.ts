import { join, resolve } from "node:path";

// the same two levels up from src/model (tests) and lib/model
const DEMO = resolve(__dirname, "..", "..", "demo");

/** Absolute paths of the embedded demo model: a LLaVA-1.5 in miniature with its region proposal network (demo/README.md). */
export function demoModel(): { model: string; mmproj: string; rpn: string } {
  return {
    model: join(DEMO, "pico-llava-f16.gguf"),
    mmproj: join(DEMO, "pico-mmproj-f16.gguf"),
    rpn: join(DEMO, "pico-rpn-f16.gguf"),
  };
}
