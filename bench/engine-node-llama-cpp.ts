import { importPeer, peerVersion } from "./peers.js";
import type { Engine, EngineConfig, Samples, WorkArgs } from "./protocol.js";

/** What is used of node-llama-cpp 3.22. */
interface NodeLlamaCpp {
  getLlama(options: Record<string, unknown>): Promise<Llama>;
  LlamaLogLevel: { error: string };
}

interface Llama {
  llamaCppRelease: { release: string };
  buildType: string;
  loadModel(options: Record<string, unknown>): Promise<{ createContext(options: Record<string, unknown>): Promise<{ getSequence(): Sequence }> }>;
  dispose(): Promise<void>;
}

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: Record<string, unknown>): AsyncGenerator<number>;
}

/** The most used binding. It has no vision: text only. Its prebuilt binary is taken, nothing is downloaded or compiled. */
export async function loadNodeLlamaCpp({ files, threads, contextSize }: EngineConfig): Promise<Engine> {
  const { getLlama, LlamaLogLevel } = await importPeer<NodeLlamaCpp>("node-llama-cpp");
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, progressLogs: false, maxThreads: threads, logLevel: LlamaLogLevel.error });
  const model = await llama.loadModel({ modelPath: files.model, gpuLayers: 0 });
  const context = await model.createContext({ contextSize, batchSize: 640, threads, sequences: 1 });
  const sequence = context.getSequence();
  return {
    about: () => ({ version: peerVersion("node-llama-cpp"), llama: llama.llamaCppRelease.release, build: llama.buildType }),
    work: {
      text: async ({ promptTokens, tokens }: WorkArgs): Promise<Samples> => {
        await sequence.clearHistory();
        const prompt = Array.from({ length: promptTokens }, (_, i) => (i === 0 ? 1 : 300 + (i % 64)));
        const start = performance.now();
        let first = 0;
        let last = 0;
        let count = 0;
        for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
          last = performance.now();
          first ||= last;
          if (++count === tokens) {
            break;
          }
        }
        // no clock of its own: the first token comes right after the prompt
        return { text: { ms: last - start, prefillRate: (promptTokens / (first - start)) * 1000, decodeRate: ((count - 1) / (last - first)) * 1000 } };
      },
    },
    dispose: () => llama.dispose(),
  };
}
