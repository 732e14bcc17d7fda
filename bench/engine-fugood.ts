import { importPeer, peerVersion } from "./peers.js";
import type { Engine, EngineConfig, Samples, WorkArgs } from "./protocol.js";

/** What is used of @fugood/llama.node 1.7. */
interface Llama {
  loadModel(options: Record<string, unknown>): Promise<Context>;
  BuildInfo?: Record<string, string>;
}

interface Context {
  initMultimodal(options: { path: string; use_gpu: boolean }): Promise<boolean>;
  completion(options: Record<string, unknown>, onToken: () => void): Promise<{ timings: { prompt_n: number; prompt_ms: number } }>;
  clearCache(clearData: boolean): Promise<void>;
  release(): Promise<void>;
}

// conversation template vicuna_v1, as sd-rpn fills it in for models without one; the mark is mtmd's
const prompt = (question: string): string =>
  "A chat between a curious user and an artificial intelligence assistant. " +
  `The assistant gives helpful, detailed, and polite answers to the user's questions. USER: <__media__>\n${question} ASSISTANT:`;

/** A binding with vision, through mtmd as it is upstream. */
export async function loadFugood({ files, threads, contextSize }: EngineConfig): Promise<Engine> {
  const llama = await importPeer<Llama>("@fugood/llama.node");
  const size = { n_ctx: contextSize, n_batch: contextSize, n_ubatch: 640, n_parallel: 1 };
  const context = await llama.loadModel({ model: files.model, ...size, n_threads: threads, n_gpu_layers: 0 });
  if (!(await context.initMultimodal({ path: files.mmproj, use_gpu: false }))) {
    throw new Error("the vision tower was not loaded");
  }

  const complete = async (options: Record<string, unknown>) => {
    await context.clearCache(true); // the prompt of the call before would be reused
    const start = performance.now();
    let first = 0;
    let last = 0;
    let count = 0;
    const greedy = { temperature: 0, penalty_repeat: 1, ignore_eos: true, stop: [] };
    const { timings } = await context.completion({ ...greedy, ...options }, () => {
      last = performance.now();
      first ||= last;
      count++;
    });
    const end = performance.now();
    const decodeRate = ((count - 1) / (last - first)) * 1000;
    return { ms: end - start, first: (first || end) - start, decodeRate, timings }; // a single token comes without a call back
  };

  return {
    about: () => ({ version: peerVersion("@fugood/llama.node"), ...llama.BuildInfo }),
    work: {
      text: async ({ promptTokens, tokens }: WorkArgs): Promise<Samples> => {
        // one token a word, and one for the beginning of the text
        const { ms, decodeRate, timings } = await complete({ prompt: Array(promptTokens - 1).fill("the").join(" "), n_predict: tokens });
        return { text: { ms, prefillRate: (timings.prompt_n / timings.prompt_ms) * 1000, decodeRate, promptTokens: timings.prompt_n } };
      },
      picture: async ({ images: [image], questions: [question] }: WorkArgs): Promise<Samples> => {
        const { first } = await complete({ prompt: prompt(question), media_paths: [image], n_predict: 1 });
        return { picture: { ms: first } };
      },
    },
    dispose: () => context.release(),
  };
}
