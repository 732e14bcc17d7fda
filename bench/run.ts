import { join } from "node:path";
import { interleave, type Measured, withChildren } from "./measure.js";
import { runNative } from "./native.js";
import type { BenchOptions, Phase } from "./options.js";
import { peerInstalled, PEERS } from "./peers.js";
import type { EngineConfig, EngineName, WorkArgs } from "./protocol.js";
import { ROOT } from "./root.js";
import type { ModelFiles } from "./synth.js";

/** Everything that was measured, before any of it is put in relation. */
export interface Results {
  /** what an engine says of itself */
  about: Record<string, Record<string, string>>;
  /** by phase; those of peers under "peers NAME" */
  measured: Record<string, Measured>;
  /** most memory of a process in MiB, by engine */
  memory: Record<string, number>;
  /** peers that are not installed, and how to install them */
  missing: Record<string, string>;
  /** why a part could not be measured */
  failed: Record<string, string>;
}

const QUESTIONS: [string, string] = [
  "What is the total amount written on the second line of the large table in the document?",
  "What is the name of the company printed in red on the last page of the document?",
];
const IMAGES = ["900000.jpg", "900001.jpg", "900002.jpg", "900003.jpg"].map((name) => join(ROOT, "demo", "images", name));

/** tokens of an answer in the parts that measure decoding: of several pictures at once, and beside peers */
const TOGETHER_TOKENS = 64;
const DECODE_TOKENS = 33;
/** the head alone takes well below a millisecond on narrow models */
const HEAD_RUNS = 50;

type Say = (text: string) => void;

/** Measures the phases one after the other. A part that fails costs its own figures; why is in `failed`. */
export async function runBench(options: BenchOptions, files: ModelFiles, say: Say): Promise<Results> {
  const results: Results = { about: {}, measured: {}, memory: {}, missing: {}, failed: {} };
  const bench = new Bench(options, files, results, say);
  for (const phase of options.phases) {
    try {
      await bench[phase]();
    } catch (error) {
      results.failed[phase] = error instanceof Error ? error.message : String(error);
      say(`${phase}: ${results.failed[phase]}`);
    }
  }
  return results;
}

class Bench implements Record<Phase, () => Promise<void>> {
  private readonly args: WorkArgs;

  constructor(
    private readonly options: BenchOptions,
    private readonly files: ModelFiles,
    private readonly results: Results,
    private readonly say: Say,
  ) {
    this.args = { images: IMAGES, questions: QUESTIONS, tokens: options.tokens, promptTokens: 0, seconds: 3 };
  }

  async flow(): Promise<void> {
    await withChildren([this.config()], async (own) => {
      this.results.about["sd-rpn"] = own.about;
      const works = ["prefill", "oneView", "reference", "answers", "regions"].map((work) => () => own.run(work, this.args));
      this.results.measured.flow = await this.interleave("flow", works);
      this.results.memory["sd-rpn"] = (await own.run("memory")).memory.mib ?? 0;
    });
  }

  async attention(): Promise<void> {
    await withChildren([this.config()], async (own) => {
      const works = ["regions", "attention"].map((work) => () => own.run(work, this.args));
      this.results.measured.attention = await this.interleave("attention", works);
      this.results.memory["sd-rpn with attention"] = (await own.run("memory")).memory.mib ?? 0;
    });
  }

  async loop(): Promise<void> {
    await withChildren([this.config()], async (own) => {
      this.results.measured.loop = await this.interleave("loop", [() => own.run("eventLoop", this.args)]);
    });
  }

  async parallel(): Promise<void> {
    const args = { ...this.args, tokens: TOGETHER_TOKENS };
    await withChildren([{ ...this.config(), parallel: IMAGES.length }], async (own) => {
      this.results.measured.parallel = await this.interleave("parallel", [() => own.run("together", args)]);
      this.results.memory[`sd-rpn, parallel ${IMAGES.length}`] = (await own.run("memory")).memory.mib ?? 0;
    });
  }

  async head(): Promise<void> {
    const native = { ...this.native(["head_first", "head_next", "head_keys_first", "head_keys_next"]), runs: HEAD_RUNS };
    this.results.measured.head = await this.interleave("head", [() => runNative(native)]);
  }

  async binding(): Promise<void> {
    const native = this.native(["full_prefill", "roi_first", "roi_repeat"]);
    await withChildren([this.config()], async (own) => {
      const js = async () => own.run("binding", this.args);
      const core = async () => Object.fromEntries(Object.entries(await runNative(native)).map(([name, sample]) => [`${name} native`, sample]));
      this.results.measured.binding = await this.interleave("binding", [js, core]);
    });
  }

  async peers(): Promise<void> {
    for (const peer of PEERS) {
      if (!peerInstalled(peer)) {
        this.results.missing[peer] = "not installed: run `npm install --ignore-scripts --prefix bench/peers`";
        continue;
      }
      try {
        await this.besidePeer(peer);
      } catch (error) {
        this.results.failed[peer] = error instanceof Error ? error.message : String(error);
      }
    }
  }

  private async besidePeer(peer: EngineName): Promise<void> {
    await withChildren([this.config(), this.config(peer)], async (own, other) => {
      this.results.about[peer] = other.about;
      const prompt = (await own.run("prefill", this.args)).prefill.promptTokens ?? 0;
      const args = { ...this.args, tokens: DECODE_TOKENS, promptTokens: prompt };
      const works = peer === "@fugood/llama.node" ? ["text", "picture"] : ["text"];
      // a pair is the same work on either side, one right after the other
      const pairs = works.flatMap((work) => [
        async () => ({ [work]: (await own.run(work, args))[work] }),
        async () => ({ [`${work} peer`]: (await other.run(work, args))[work] }),
      ]);
      this.results.measured[`peers ${peer}`] = await this.interleave(`beside ${peer}`, pairs, this.options.pairs);
      this.results.memory[peer] = (await other.run("memory")).memory.mib ?? 0;
    });
  }

  private interleave(name: string, works: Parameters<typeof interleave>[1], runs = this.options.runs): Promise<Measured> {
    return interleave(runs, works, (round) => this.say(`${name}: ${round}`));
  }

  private config(engine: EngineName = "sd-rpn"): EngineConfig {
    const { threads, contextSize } = this.options;
    return { engine, files: this.files, threads, contextSize, parallel: 1 };
  }

  private native(phases: string[]) {
    const { threads, contextSize } = this.options;
    return { files: this.files, threads, contextSize, question: QUESTIONS[0], runs: 1, phases };
  }
}
