import type { ServerResponse } from "node:http";
import { basename, extname } from "node:path";
import type { Model } from "../model/model.js";
import { ServiceError } from "./http-error.js";
import type { CheckedServeOptions } from "./options.js";
import type { PictureSettings } from "./picture/picture-of-url.js";

/** What all routes share: the model, as soon as it is there, and the calls under way. */
export class Service {
  state: "loading" | "ready" | "draining" = "loading";
  /** when the model was loaded, in seconds since 1970 */
  created = Math.floor(Date.now() / 1000);
  /** the model is being freed */
  closed = false;
  private loaded: Model | undefined;
  private readonly calls = new Set<AbortController>();
  private whenIdle = (): void => {};

  constructor(readonly options: CheckedServeOptions) {}

  get pictures(): PictureSettings {
    const { allowHosts: hosts, maxBody: maxBytes, mediaPath } = this.options;
    return { hosts, maxBytes, mediaPath };
  }

  ready(model: Model): void {
    this.loaded = model;
    this.created = Math.floor(Date.now() / 1000);
    if (this.state === "loading") {
      this.state = "ready";
    }
  }

  /** @throws {ServiceError} 503 before it is loaded and after the service was told to end */
  get model(): Model {
    if (this.state === "draining") {
      throw new ServiceError(503, "DRAINING", "The service is about to end: ask again, another process may answer", 1);
    }
    if (!this.loaded) {
      throw new ServiceError(503, "LOADING", "The model is being loaded: ask again", 1);
    }
    return this.loaded;
  }

  /** The model also while calls under way come to their end. */
  get modelIfLoaded(): Model | undefined {
    return this.loaded;
  }

  /** What clients call the model. */
  get name(): string {
    const file = this.loaded?.info.files.model ?? "sd-rpn";
    return this.options.name ?? basename(file, extname(file));
  }

  get underWay(): number {
    return this.calls.size;
  }

  /** Registers a call. Its signal is aborted when the client leaves, or when it takes too long; the reason is the error to answer with. */
  begin(response: ServerResponse): { signal: AbortSignal; end: () => void } {
    const controller = new AbortController();
    const { timeout } = this.options;
    const timer = setTimeout(
      () => controller.abort(new ServiceError(504, "TIMED_OUT", `Expected the answer within ${timeout} seconds, waiting included: ask for fewer tokens, or when fewer others do`)),
      1000 * timeout,
    );
    this.calls.add(controller);
    response.once("close", () => {
      if (!response.writableFinished) controller.abort(new ServiceError(499, "CLIENT_LEFT", "The client has closed the connection"));
    });
    const end = (): void => {
      clearTimeout(timer);
      this.calls.delete(controller);
      if (this.calls.size === 0) this.whenIdle();
    };
    return { signal: controller.signal, end };
  }

  /** Refuses new calls; resolves when those under way have ended, which are aborted after the grace. */
  async drain(): Promise<void> {
    this.state = "draining";
    if (this.calls.size === 0) {
      return;
    }
    const idle = new Promise<void>((resolve) => (this.whenIdle = resolve));
    const timer = setTimeout(() => {
      for (const call of this.calls) {
        call.abort(new ServiceError(503, "DRAINING", "The service ends and could not wait any longer: ask again, another process may answer", 1));
      }
    }, 1000 * this.options.grace);
    await idle;
    clearTimeout(timer);
  }
}
