// One engine in a process of its own: does the work that the parent asks for and sends back what it took.
import type { Engine, EngineConfig, Reply, Request, Samples } from "./protocol.js";

async function load(config: EngineConfig): Promise<Engine> {
  switch (config.engine) {
    case "sd-rpn":
      return (await import("./engine-own.js")).loadOwn(config);
    case "@fugood/llama.node":
      return (await import("./engine-fugood.js")).loadFugood(config);
    case "node-llama-cpp":
      return (await import("./engine-node-llama-cpp.js")).loadNodeLlamaCpp(config);
  }
}

/** The most memory that this process has held so far, in MiB. */
function peakMemory(): Samples {
  return { memory: { ms: 0, mib: process.resourceUsage().maxRSS / 1024 } };
}

async function main(): Promise<void> {
  const send = (reply: Reply): void => void process.send?.(reply);
  const engine = await load(JSON.parse(process.argv[2]) as EngineConfig);
  const handle = async ({ id, work, args }: Request): Promise<void> => {
    try {
      if (work === "dispose") {
        await engine.dispose();
        send({ id, samples: {} });
        process.disconnect();
        return;
      }
      if (work === "memory") {
        send({ id, samples: peakMemory() });
        return;
      }
      const run = engine.work[work];
      if (!run || !args) {
        throw new Error(`does not know ${work}`);
      }
      send({ id, samples: await run(args) });
    } catch (error) {
      send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on("message", (request: Request) => void handle(request));
  send({ id: 0, about: engine.about() });
}

main().catch((error: unknown) => {
  process.send?.({ id: 0, error: error instanceof Error ? (error.stack ?? error.message) : String(error) } satisfies Reply);
  process.exitCode = 1;
});
