import { loadModel } from "../model/model.js";
import { loadSchema } from "../model/load-options.js";
import { parseOptions } from "../base/validate.js";
import { SdRpnError } from "../base/errors.js";
import { createApp } from "./app.js";
import { type ServedModel, type ServeOptions, serveSchema } from "./options.js";
import { Service } from "./service.js";

/**
 * Serves a model over HTTP, as OpenAI's chat completions and with routes of its own (docs/service.md), until `options.signal` is aborted: then
 * it answers what is under way, within the grace, refuses what comes, frees the model and resolves. It listens before the model is loaded.
 *
 * @param load what to load, as `loadModel` takes it
 * @throws {SdRpnError} INVALID_ARGUMENT, IO_ERROR where it cannot listen, and what `loadModel` throws
 */
export async function serve(options: ServeOptions = {}, load: ServedModel = {}): Promise<void> {
  const checked = parseOptions(serveSchema, options);
  parseOptions(loadSchema, load);
  const { host, port, signal } = checked;
  const service = new Service(checked);
  const app = createApp(service);
  const ended = new AbortController();
  const told = new Promise<void>((resolve) => {
    const end = (): void => {
      ended.abort();
      resolve();
    };
    signal?.aborted ? end() : signal?.addEventListener("abort", end, { once: true });
  });
  try {
    const url = await app.listen({ host, port, listenTextResolver: (address) => `listening on ${address}` }).catch((cause: unknown) => {
      throw new SdRpnError("IO_ERROR", `Cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause });
    });
    checked.onListening?.(url);
    const loading = loadModel({ ...load, signal: ended.signal });
    const model = await loading.catch((error: unknown) => {
      if (ended.signal.aborted) return undefined;
      throw error;
    });
    if (model) {
      service.ready(model);
      app.log.info({ model: service.name, backend: model.info.backend }, "ready");
    }
    await told;
    app.log.info({ underWay: service.underWay }, "draining");
    await service.drain();
  } finally {
    service.state = "draining";
    service.closed = true;
    await app.close();
    await service.modelIfLoaded?.dispose();
  }
}
