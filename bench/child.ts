import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { EngineConfig, Reply, Samples, WorkArgs } from "./protocol.js";

/** An engine in a process of its own, so that its memory and its event loop are measured alone, and a crash costs its rows only. */
export class Child {
  about: Record<string, string> = {};
  private readonly waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  private nextId = 1;
  private stderr = "";

  private constructor(
    readonly config: EngineConfig,
    private readonly process: ChildProcess,
  ) {
    // programs around llama.cpp write much to both streams; only what came before a crash is of interest
    process.stderr?.on("data", (data) => (this.stderr = (this.stderr + data).slice(-4000)));
    process.on("message", (reply: Reply) => {
      const waiter = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (reply.error === undefined) {
        waiter?.resolve(reply);
      } else {
        waiter?.reject(new Error(`${config.engine}: ${reply.error}`));
      }
    });
    process.on("exit", (code, signal) => {
      for (const { reject } of this.waiting.values()) {
        reject(new Error(`${config.engine} ended with ${signal ?? code}: ${this.stderr.trim().split("\n").slice(-5).join("\n")}`));
      }
      this.waiting.clear();
    });
  }

  /** Starts a process and loads the engine in it; rejects where that fails. */
  static async start(config: EngineConfig): Promise<Child> {
    const process = fork(join(__dirname, "worker.js"), [JSON.stringify(config)], { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    const child = new Child(config, process);
    const { about } = await child.reply(0);
    child.about = about ?? {};
    return child;
  }

  async run(work: string, args?: WorkArgs): Promise<Samples> {
    const id = this.nextId++;
    const reply = this.reply(id);
    this.process.send({ id, work, args });
    return (await reply).samples ?? {};
  }

  async stop(): Promise<void> {
    const exited = new Promise<void>((resolve) => this.process.once("exit", () => resolve()));
    await this.run("dispose");
    await exited;
  }

  kill(): void {
    this.process.kill("SIGKILL");
  }

  private reply(id: number): Promise<Reply> {
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }
}
