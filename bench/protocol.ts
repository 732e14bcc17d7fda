import type { ModelFiles } from "./synth.js";

/** Which program a child process loads. */
export type EngineName = "sd-rpn" | "@fugood/llama.node" | "node-llama-cpp";

/** What a child process is started with. */
export interface EngineConfig {
  engine: EngineName;
  files: ModelFiles;
  threads: number;
  contextSize: number;
  /** answers decoded in one batch; sd-rpn only */
  parallel: number;
}

/** What a piece of work is done with. */
export interface WorkArgs {
  /** paths of pictures; most work takes the first */
  images: string[];
  /** two questions of about the same length */
  questions: [string, string];
  /** tokens of an answer, end token ignored */
  tokens: number;
  /** tokens of a prompt of text only */
  promptTokens: number;
  /** of one stretch of measuring the event loop */
  seconds: number;
}

/** Figures of one call, most of them in milliseconds. */
export interface Sample {
  /** the whole call, as the caller sees it */
  ms: number;
  /** the language model's and the network's share of it: prefill, RPN, generation */
  llm?: number;
  /** the vision tower's share */
  vision?: number;
  [figure: string]: number | undefined;
}

/** One piece of work may measure several calls, each under its name. */
export type Samples = Record<string, Sample>;

export interface Engine {
  /** versions and settings, for the report */
  about(): Record<string, string>;
  /** the kinds of work that this engine can do */
  work: Record<string, (args: WorkArgs) => Promise<Samples>>;
  dispose(): Promise<void>;
}

export interface Request {
  id: number;
  work: string;
  /** for all work but that of the process itself */
  args?: WorkArgs;
}

export interface Reply {
  id: number;
  samples?: Samples;
  about?: Record<string, string>;
  error?: string;
}
