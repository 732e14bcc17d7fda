import { z } from "zod";
import { brokeOff, failed, type HubClient } from "./client.js";
import { type Endpoint, hubUrl } from "./endpoint.js";
import type { HubName } from "./name.js";

const MOST_BYTES = 16 * 1024 * 1024;
const MOST_PAGES = 200;

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

const size = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const entrySchema = z.union([
  z.object({ type: z.literal("file"), path: z.string().min(1), size, lfs: z.object({ oid: sha256, size }) }),
  z.object({ type: z.literal("file"), path: z.string().min(1), size, oid: z.string().regex(/^[0-9a-f]{40}$/) }),
  z.object({ type: z.string().refine((type) => type !== "file") }),
]);

/** A file of a repository, at one commit. */
export interface HubFile {
  /** as the server says; to be checked before it is used as a path */
  path: string;
  size: number;
  /** of its contents: SHA-256 of large files, else git's hash of a blob */
  hash: { kind: "sha256" | "git"; value: string };
}

/**
 * The files of a repository, and the commit that its revision is now: what is fetched afterwards is of that commit, whatever is pushed meanwhile.
 *
 * @throws {SdRpnError} DOWNLOAD_FAILED, ABORTED
 */
export async function listFiles(client: HubClient, endpoint: Endpoint, { owner, name, revision }: HubName): Promise<{ commit: string; files: HubFile[] }> {
  const repository = ["api", "models", owner, name];
  const { value } = await readJson(client, hubUrl(endpoint, ...repository, "revision", revision), commitSchema);
  const commit = value.sha;
  const files: HubFile[] = [];
  let next: URL | undefined = hubUrl(endpoint, ...repository, "tree", commit);
  next.searchParams.set("recursive", "true");
  for (let pages = 0; next; pages++) {
    if (pages >= MOST_PAGES) {
      throw failed(`${endpoint.url.host} lists more files than any repository has`);
    }
    const page: { value: z.output<typeof entrySchema>[]; next?: URL } = await readJson(client, next, z.array(entrySchema));
    for (const entry of page.value) {
      if ("path" in entry) {
        const hash = "lfs" in entry ? ({ kind: "sha256", value: entry.lfs.oid } as const) : ({ kind: "git", value: entry.oid } as const);
        files.push({ path: entry.path, size: "lfs" in entry ? entry.lfs.size : entry.size, hash });
      }
    }
    next = page.next;
    if (next && next.origin !== endpoint.url.origin) {
      throw failed(`${endpoint.url.host} goes on with its list of files at ${next.host}, which is not it`);
    }
  }
  return { commit, files };
}

async function readJson<Schema extends z.ZodType>(client: HubClient, url: URL, schema: Schema): Promise<{ value: z.output<Schema>; next?: URL }> {
  return client.read(url, () => ({ accept: "application/json" }), async (response, alive) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      alive();
      length += chunk.length;
      if (length > MOST_BYTES) {
        throw failed(`${url.host} sends more than ${MOST_BYTES} bytes as a list of files`);
      }
      chunks.push(chunk);
    }
    const promised = response.headers.get("content-length");
    if (promised !== null && Number(promised) !== length) {
      throw brokeOff("broke off within its answer");
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    } catch (error) {
      throw failed(`${url.host} does not answer with JSON to ${url.pathname}: check HF_ENDPOINT`, error);
    }
    const result = schema.safeParse(parsed);
    if (!result.success) {
      throw failed(`${url.host} does not answer to ${url.pathname} as a hub does: check HF_ENDPOINT`, result.error);
    }
    return { value: result.data, next: nextPage(response, url) };
  });
}

/** Of a header such as `<https://...>; rel="next"`. */
function nextPage(response: Response, url: URL): URL | undefined {
  const link = /<([^<>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "");
  try {
    return link ? new URL(link[1], url) : undefined;
  } catch (error) {
    throw failed(`${url.host} goes on with its list of files at what is no URL`, error);
  }
}
