import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What goes wrong with one request for a file's bytes, at the place where they lie. */
export type Fault =
  | { cutAfter: number }
  | { stallAfter: number }
  | { status: number; headers?: Record<string, string> }
  | { bytes: Buffer }
  | { ignoreRange: true }
  | { contentRange: string }
  | { endAfter: number }
  | { encoding: string };

export interface Asked {
  host: "hub" | "cdn";
  path: string;
  range?: string;
  authorization?: string;
}

/**
 * A hub on this machine, as huggingface.co speaks: /api/models/REPO/revision/REV, /api/models/REPO/tree/COMMIT in pages, and
 * /REPO/resolve/COMMIT/FILE, which leads to another server for the bytes, as a CDN does.
 */
export class HubServer {
  readonly files = new Map<string, Buffer>();
  readonly asked: Asked[] = [];
  /** of the next requests for bytes, in turn */
  readonly faults: Fault[] = [];
  /** instead of the hub's own answers, by path; called once for each request */
  readonly answers = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();
  token: string | undefined;
  commit = "0123456789abcdef0123456789abcdef01234567";
  pageSize = 1000;
  /** bytes come in pieces, with pauses */
  slow = false;
  /** paths that are listed with git's hash, as small files are */
  readonly small = new Set<string>();
  private readonly hub: Server;
  private readonly cdn: Server;

  constructor(readonly repository = "owner/name") {
    this.hub = createServer((request, response) => this.answer(request, response));
    this.cdn = createServer((request, response) => this.send(request, response));
  }

  async start(): Promise<void> {
    await Promise.all([this.hub, this.cdn].map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))));
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get url(): string {
    return urlOf(this.hub);
  }

  get cdnUrl(): string {
    return urlOf(this.cdn);
  }

  /** Requests for bytes, with what they asked for. */
  get fetches(): Asked[] {
    return this.asked.filter(({ host }) => host === "cdn");
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url);
    const path = decodeURIComponent(url.pathname);
    this.asked.push({ host: "hub", path: request.url!, authorization: request.headers.authorization });
    const own = this.answers.get(path) ?? this.answers.get("*");
    if (own) {
      own(request, response);
      return;
    }
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(401).end("{}");
      return;
    }
    const api = `/api/models/${this.repository}`;
    const file = path.startsWith(`/${this.repository}/resolve/${this.commit}/`) ? path.slice(`/${this.repository}/resolve/${this.commit}/`.length) : undefined;
    if (path === `${api}/revision/main` || path === `${api}/revision/refs/pr/1`) {
      json(response, { id: this.repository, sha: this.commit });
    } else if (path === `${api}/tree/${this.commit}`) {
      this.list(url, response);
    } else if (file !== undefined && this.files.has(file)) {
      response.writeHead(302, { location: `${this.cdnUrl}/bytes/${encodeURIComponent(file)}?signature=x`, "x-repo-commit": this.commit }).end("moved");
    } else {
      response.writeHead(404).end("not found");
    }
  }

  private list(url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const all = [...this.files].map(([path, bytes]) => {
      const git = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      return this.small.has(path) ? { type: "file", oid: git, size: bytes.length, path } : { type: "file", oid: "f".repeat(40), size: bytes.length, path, lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } };
    });
    const page = all.slice(from, from + this.pageSize);
    const next = new URL(url);
    next.searchParams.set("cursor", String(from + this.pageSize));
    json(response, [{ type: "directory", oid: "d".repeat(40), size: 0, path: "folder" }, ...page], from + this.pageSize < all.length ? { link: `<${next.href}>; rel="next"` } : {});
  }

  private send(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url!, this.cdnUrl).pathname.slice("/bytes/".length));
    const { range, authorization } = request.headers;
    this.asked.push({ host: "cdn", path, range, authorization });
    const fault = this.faults.shift();
    if (fault && "status" in fault) {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const whole = fault && "bytes" in fault ? fault.bytes : this.files.get(path)!;
    const from = range && !(fault && "ignoreRange" in fault) ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
    if (from > 0 && from >= whole.length) {
      response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
      return;
    }
    const part = whole.subarray(from);
    const headers: Record<string, string> = { etag: '"x"' };
    if (!(fault && "endAfter" in fault)) headers["content-length"] = String(part.length);
    if (fault && "encoding" in fault) headers["content-encoding"] = fault.encoding;
    if (from > 0) headers["content-range"] = fault && "contentRange" in fault ? fault.contentRange : `bytes ${from}-${whole.length - 1}/${whole.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    if (fault && "cutAfter" in fault) {
      response.write(part.subarray(0, fault.cutAfter), () => response.destroy());
    } else if (fault && "stallAfter" in fault) {
      response.write(part.subarray(0, fault.stallAfter));
    } else if (fault && "endAfter" in fault) {
      response.end(part.subarray(0, fault.endAfter));
    } else if (this.slow) {
      void trickle(response, part);
    } else {
      response.end(part);
    }
  }
}

async function trickle(response: ServerResponse, part: Buffer): Promise<void> {
  const piece = Math.max(1 << 16, part.length >> 5);
  for (let at = 0; at < part.length && !response.destroyed; at += piece) {
    response.write(part.subarray(at, at + piece));
    await sleep(20);
  }
  response.end();
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
