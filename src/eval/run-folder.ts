import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { AppendLog } from "../data/append-log.js";
import { readJsonl } from "../data/jsonl.js";
import { differenceOf, readSettings, toJson } from "../data/settings-file.js";
import { dataInvalid, SdRpnError } from "../base/errors.js";
import { readTextFile, replaceFile } from "../base/regular-file.js";
import { lineKey } from "./ask-items.js";
import { configSchema, type RunConfig } from "./config.js";
import { type Prediction, predictionSchema, type TimingLine, timingSchema } from "./prediction.js";

/** The files of a run. Result files depend only on the questions and the model; times and the machine are in separate files. */
export const RUN_FILES = {
  config: "config.json",
  predictions: "predictions.jsonl",
  timings: "timings.jsonl",
  sweep: "sweep.jsonl",
  machine: "machine.json",
  report: { json: "report.json", markdown: "report.md", html: "report.html" },
  speed: { json: "speed.json", markdown: "speed.md" },
  chart: "sweep.svg",
} as const;

/** The folder of a run. */
export class RunFolder {
  constructor(readonly path: string) {}

  file(name: string): string {
    return join(this.path, name);
  }

  /**
   * Creates the folder of a run, or opens it to resume the same run.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT where it holds another run, naming the first difference; IO_ERROR
   */
  async begin(config: RunConfig): Promise<void> {
    const text = toJson(config);
    const found = await this.io("make the folder", async () => {
      await mkdir(this.path, { recursive: true });
      return readSettings(this.file(RUN_FILES.config));
    });
    if (found === undefined) {
      await this.write(RUN_FILES.config, text);
    } else if (found !== text) {
      throw new SdRpnError("INVALID_ARGUMENT", `${this.path} holds another run: ${differenceOf(found, config, RUN_FILES.config)}; use the same options to resume it, or give another folder (out, --out)`);
    }
  }

  /** @throws {SdRpnError} DATA_INVALID where it is not the folder of a run; IO_ERROR */
  async config(): Promise<RunConfig> {
    const file = this.file(RUN_FILES.config);
    const text = await this.io("read its config.json", () => readTextFile(file));
    try {
      return configSchema.parse(JSON.parse(text));
    } catch (error) {
      throw dataInvalid({ file, line: 1, column: 1 }, "Expected the config.json that a run has written", error);
    }
  }

  /** A file of lines to append to; an incomplete last line is removed. */
  openLog(name: string, signal?: AbortSignal): Promise<AppendLog> {
    return AppendLog.open(this.file(name), { header: null, idOf: lineKey, name: `file of a run`, signal });
  }

  readPredictions(signal?: AbortSignal): Promise<Prediction[]> {
    return this.lines(RUN_FILES.predictions, predictionSchema, signal);
  }

  readSweep(signal?: AbortSignal): Promise<Prediction[]> {
    return this.lines(RUN_FILES.sweep, predictionSchema, signal);
  }

  readTimings(signal?: AbortSignal): Promise<TimingLine[]> {
    return this.lines(RUN_FILES.timings, timingSchema, signal);
  }

  /** Writes a whole file atomically: it appears complete or not at all. */
  async write(name: string, contents: string | Uint8Array): Promise<void> {
    await this.io(`write ${name}`, () => replaceFile(this.file(name), contents));
  }

  private async lines<Schema extends z.ZodType>(name: string, schema: Schema, signal?: AbortSignal): Promise<z.output<Schema>[]> {
    const lines: z.output<Schema>[] = [];
    for await (const { value } of readJsonl(this.file(name), schema, { allowEmpty: true, signal })) {
      lines.push(value);
    }
    return lines;
  }

  private async io<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new SdRpnError("IO_ERROR", `Cannot ${doing} of the run in ${this.path}: ${(error as Error).message}`, { cause: error });
    }
  }
}
