import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheFolder, partialPath, repositoryFolder } from "../../src/hub/cache";
import { endpointOf } from "../../src/hub/endpoint";
import { formatHubName, isPlainPath, parseHubName } from "../../src/hub/name";
import { type Hub, pullFrom, type PullProgress, type PullResult } from "../../src/hub/pull";
import { HubServer } from "../helpers/hub-server";

const MB = 1 << 20;
const model = randomBytes(3 * MB + 17);
const mmproj = randomBytes(MB);
const rpn = randomBytes(1000);

let server: HubServer;
let cache: string;
beforeEach(async () => {
  server = new HubServer();
  server.files.set("README.md", Buffer.from("# read me"));
  server.files.set("model-q8_0.gguf", model);
  server.files.set("mmproj-f16.gguf", mmproj);
  server.files.set("rpn.gguf", rpn);
  server.small.add("README.md").add("rpn.gguf");
  await server.start();
  cache = mkdtempSync(join(tmpdir(), "sd-rpn-hub-"));
});
afterEach(async () => {
  await server.stop();
  rmSync(cache, { recursive: true, force: true });
});

const hub = (token?: string, stallMs = 5000): Hub => ({ endpoint: { url: new URL(server.url), token }, cache, patience: { stallMs, waitMs: 5, attempts: 4 } });
const pull = (name = "owner/name", more: { onProgress?: (progress: PullProgress) => void; signal?: AbortSignal } = {}, token?: string): Promise<PullResult> => pullFrom(hub(token), parseHubName(name, "name"), more);
const folderOf = (name = "owner/name"): string => repositoryFolder(cache, hub().endpoint, parseHubName(name, "name"));
const there = (file: string): Buffer => readFileSync(join(folderOf(), file));
const partial = (file: string): string => partialPath(folderOf(), file);

describe("fetching", () => {
  test("the model, its mmproj file and its network; nothing else, and nothing again", async () => {
    const seen: PullProgress[] = [];
    const result = await pull("owner/name", { onProgress: (progress) => seen.push(progress) });
    const { folder } = result;
    expect(result).toEqual({
      folder: folderOf(),
      commit: server.commit,
      files: [["mmproj-f16.gguf", mmproj], ["rpn.gguf", rpn], ["model-q8_0.gguf", model]].map(([file, bytes]) => ({ path: join(folder, file as string), size: bytes.length, fetched: true })),
      undecided: [],
    });
    expect([there("model-q8_0.gguf").equals(model), there("mmproj-f16.gguf").equals(mmproj), there("rpn.gguf").equals(rpn)]).toEqual([true, true, true]);
    expect(readdirSync(folder).sort()).toEqual([".sd-rpn", "mmproj-f16.gguf", "model-q8_0.gguf", "rpn.gguf"]);
    expect(readdirSync(join(folder, ".sd-rpn")).filter((name) => /partial|lock/.test(name))).toEqual([]);
    const total = model.length + mmproj.length + rpn.length;
    expect(seen[seen.length - 1]).toEqual({ file: "model-q8_0.gguf", received: total, size: total });
    expect(seen.map(({ received }) => received)).toEqual(seen.map(({ received }) => received).sort((a, b) => a - b));
    const before = server.fetches.length;
    expect((await pull()).files.map(({ fetched }) => fetched)).toEqual([false, false, false]);
    expect(server.fetches).toHaveLength(before);
  });

  test("what was cut off goes on where it was, in one call and in the next", async () => {
    server.faults.push({ cutAfter: MB / 2 }, { cutAfter: 100_000 }, { endAfter: 50_000 });
    await pull("owner/name:mmproj-f16.gguf");
    expect(there("mmproj-f16.gguf").equals(mmproj)).toBe(true);
    const ranges = server.fetches.map(({ range }) => Number(/\d+/.exec(range ?? "0")![0]));
    expect(ranges).toHaveLength(4);
    expect(ranges).toEqual([...ranges].sort((a, b) => a - b));
    // a connection that is cut may lose what was on its way
    expect(ranges[1]).toBeGreaterThan(0);
    expect(ranges[3]).toBeGreaterThanOrEqual(ranges[2] + 50_000);
    expect(ranges[3]).toBeLessThanOrEqual(MB / 2 + 150_000);
    // a process that was killed leaves its part
    mkdirSync(join(folderOf(), ".sd-rpn"), { recursive: true });
    writeFileSync(partial("model-q8_0.gguf"), model.subarray(0, 2 * MB));
    await pull("owner/name:model-q8_0.gguf");
    expect(server.fetches.at(-1)).toMatchObject({ path: "model-q8_0.gguf", range: `bytes=${2 * MB}-` });
    expect(there("model-q8_0.gguf").equals(model)).toBe(true);
  });

  test("a part that is of no use, too long or of another file is begun anew", async () => {
    mkdirSync(join(folderOf(), ".sd-rpn"), { recursive: true });
    for (const left of [randomBytes(MB), randomBytes(9 * MB), Buffer.concat([model.subarray(0, MB), Buffer.alloc(50)]), randomBytes(model.length)]) {
      rmSync(join(folderOf(), "model-q8_0.gguf"), { force: true });
      writeFileSync(partial("model-q8_0.gguf"), left);
      await pull("owner/name:model-q8_0.gguf");
      expect(there("model-q8_0.gguf").equals(model)).toBe(true);
    }
  });

  test("a whole part that a kill has left only needs its name", async () => {
    mkdirSync(join(folderOf(), ".sd-rpn"), { recursive: true });
    writeFileSync(partial("model-q8_0.gguf"), model);
    await pull("owner/name:model-q8_0.gguf");
    expect(there("model-q8_0.gguf").equals(model)).toBe(true);
    expect(server.fetches.filter(({ path }) => path === "model-q8_0.gguf")).toEqual([]);
  });

  test("servers that know no ranges, or say 416, send it anew", async () => {
    server.faults.push({ cutAfter: 600_000 }, { ignoreRange: true });
    await pull("owner/name:mmproj-f16.gguf");
    expect(there("mmproj-f16.gguf").equals(mmproj)).toBe(true);
    server.faults.push({ cutAfter: 600_000 }, { status: 416 });
    await pull("owner/name:model-q8_0.gguf");
    expect(there("model-q8_0.gguf").equals(model)).toBe(true);
  });

  test.each<[string, object]>([
    ["bytes that are not those that were listed", { bytes: Buffer.concat([mmproj.subarray(1), Buffer.alloc(1)]) }],
    ["more bytes than were listed", { bytes: Buffer.concat([mmproj, Buffer.alloc(1)]) }],
    ["bytes in an encoding that was not asked for", { encoding: "gzip" }],
  ])("%s are refused, and nothing of them stays", async (_name, fault) => {
    server.faults.push(fault as never);
    await expect(pull("owner/name:mmproj-f16.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
    expect(existsSync(join(folderOf(), "mmproj-f16.gguf"))).toBe(false);
    await pull("owner/name:mmproj-f16.gguf");
    expect(there("mmproj-f16.gguf").equals(mmproj)).toBe(true);
  });

  test("another part than the one that was asked for is refused", async () => {
    server.faults.push({ cutAfter: 1000 }, { contentRange: `bytes 0-${mmproj.length - 1}/${mmproj.length}` });
    await expect(pull("owner/name:mmproj-f16.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("another part") });
  });

  test("git's hash counts for small files", async () => {
    server.faults.push({ bytes: randomBytes(rpn.length) });
    await expect(pull("owner/name:rpn.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("git hash") });
    await pull("owner/name:rpn.gguf");
    expect(there("rpn.gguf").equals(rpn)).toBe(true);
  });

  test("429 and 5xx are tried again, when the server says; a server that stays so is told after some attempts", async () => {
    server.faults.push({ status: 429, headers: { "retry-after": "1" } }, { status: 503 });
    const start = performance.now();
    await pull("owner/name:rpn.gguf");
    expect(performance.now() - start).toBeGreaterThan(950);
    server.faults.push(...Array.from({ length: 4 }, () => ({ status: 500 })));
    await expect(pull("owner/name:mmproj-f16.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/HTTP status 500, 4 times in a row/) });
    expect(server.faults).toEqual([]);
  });

  test("attempts that bring something are counted anew", async () => {
    server.faults.push(...Array.from({ length: 9 }, () => ({ cutAfter: 50_000 })));
    await pull("owner/name:mmproj-f16.gguf");
    expect(there("mmproj-f16.gguf").equals(mmproj)).toBe(true);
  });

  test("a server that sends nothing more is left, and asked for the rest", async () => {
    server.faults.push({ stallAfter: 300_000 });
    await pullFrom(hub(undefined, 300), parseHubName("owner/name:mmproj-f16.gguf", "name"), {});
    expect(server.fetches.map(({ range }) => range)).toEqual([undefined, "bytes=300000-"]);
    server.answers.set("*", () => {}); // no head of an answer either
    await expect(pullFrom(hub(undefined, 150), parseHubName("owner/name", "name"), {})).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/sent nothing for 0.15 s, 4 times/) });
  });

  test("another commit replaces what has changed, and only that", async () => {
    await pull();
    const newer = randomBytes(model.length);
    server.files.set("model-q8_0.gguf", newer);
    server.commit = "f".repeat(40);
    expect((await pull()).files.map(({ path, fetched }) => [path.split("/").at(-1), fetched])).toEqual([["mmproj-f16.gguf", false], ["rpn.gguf", false], ["model-q8_0.gguf", true]]);
    expect(there("model-q8_0.gguf").equals(newer)).toBe(true);
  });

  test("a file whose record was lost is looked at; one that was cut off is fetched again", async () => {
    await pull();
    for (const name of readdirSync(join(folderOf(), ".sd-rpn"))) writeFileSync(join(folderOf(), ".sd-rpn", name), "{ torn");
    const before = server.fetches.length;
    await pull();
    expect(server.fetches).toHaveLength(before);
    truncateSync(join(folderOf(), "model-q8_0.gguf"), 1000);
    await pull();
    expect(there("model-q8_0.gguf").equals(model)).toBe(true);
  });
});

describe("several at once, and the disk", () => {
  test("calls side by side fetch each file once", async () => {
    const results = await Promise.all([pull(), pull(), pull()]);
    expect(there("model-q8_0.gguf").equals(model)).toBe(true);
    expect(server.fetches.map(({ path }) => path).sort()).toEqual(["mmproj-f16.gguf", "model-q8_0.gguf", "rpn.gguf"]);
    expect(results.flatMap(({ files }) => files.filter(({ fetched }) => fetched))).toHaveLength(3);
  });

  test("the lock of a process that is gone is taken over; one that is held is waited for, until an abort", async () => {
    mkdirSync(join(folderOf(), ".sd-rpn"), { recursive: true });
    const lock = `${partial("rpn.gguf")}.lock`;
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), id: "x" })); // more than Linux gives
    await pull("owner/name:rpn.gguf");
    rmSync(join(folderOf(), "rpn.gguf"));
    writeFileSync(lock, JSON.stringify({ pid: 1, host: "elsewhere", id: "x" }));
    utimesSync(lock, new Date(), new Date(Date.now() - 70_000));
    await pull("owner/name:rpn.gguf");
    rmSync(join(folderOf(), "rpn.gguf"));
    writeFileSync(lock, JSON.stringify({ pid: 1, host: "elsewhere", id: "x" }));
    const controller = new AbortController();
    const waiting = pull("owner/name:rpn.gguf", { signal: controller.signal });
    await sleep(400);
    expect(server.fetches.filter(({ path }) => path === "rpn.gguf")).toHaveLength(2);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "ABORTED" });
    expect(existsSync(lock)).toBe(true);
    const second = pull("owner/name:rpn.gguf");
    await sleep(50);
    rmSync(lock);
    await second;
    expect(existsSync(lock)).toBe(false);
  });

  test("what does not fit the disk is told before it is fetched", async () => {
    server.answers.set(`/api/models/owner/name/tree/${server.commit}`, (_, response) =>
      response.end(JSON.stringify([{ type: "file", path: "huge.gguf", size: 9e15, oid: "f".repeat(40), lfs: { oid: "0".repeat(64), size: 9e15 } }])));
    await expect(pull()).rejects.toMatchObject({ code: "IO_ERROR", message: expect.stringMatching(/Expected 9000000\.00 GB of space .* SD_RPN_CACHE/) });
    expect(server.fetches).toEqual([]);
  });

  test("a cache that cannot be written is IO_ERROR", async () => {
    const file = join(cache, "file");
    writeFileSync(file, "");
    await expect(pullFrom({ ...hub(), cache: file }, parseHubName("owner/name", "name"), {})).rejects.toMatchObject({ code: "IO_ERROR" });
  });

  test("an abort, at any time, and an error of the caller's own: what is there stays, and the next call goes on", async () => {
    const reason = new Error("enough");
    await expect(pull("owner/name", { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    server.faults.push({ stallAfter: 700_000 });
    const controller = new AbortController();
    const onProgress = ({ received }: PullProgress): void => void (received >= 700_000 && controller.abort(reason));
    await expect(pull("owner/name:mmproj-f16.gguf", { onProgress, signal: controller.signal })).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect(readFileSync(partial("mmproj-f16.gguf")).length).toBeGreaterThanOrEqual(700_000);
    const mine = new Error("mine");
    await expect(pull("owner/name:model-q8_0.gguf", { onProgress: () => { throw mine; } })).rejects.toBe(mine);
    await pull();
    expect(server.fetches.filter(({ path }) => path === "mmproj-f16.gguf").at(-1)!.range).toMatch(/^bytes=7\d{5}-$/);
    expect([there("model-q8_0.gguf").equals(model), there("mmproj-f16.gguf").equals(mmproj)]).toEqual([true, true]);
  });
});

describe("what a hub may say", () => {
  test("the token goes to the hub, and not to where the bytes lie", async () => {
    server.token = "hf_secret";
    await expect(pull()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/401.*HF_TOKEN/) });
    await pull("owner/name", {}, "hf_secret");
    expect(server.asked.filter(({ host }) => host === "hub").slice(1).every(({ authorization }) => authorization === "Bearer hf_secret")).toBe(true);
    expect(server.fetches).toHaveLength(3);
    expect(server.fetches.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  test("lists come in pages; revisions are names of commits", async () => {
    server.pageSize = 1;
    await pull("owner/name@refs/pr/1");
    expect(readdirSync(folderOf("owner/name@refs/pr/1")).sort()).toEqual([".sd-rpn", "mmproj-f16.gguf", "model-q8_0.gguf", "rpn.gguf"]);
    expect(server.asked[0].path).toBe("/api/models/owner/name/revision/refs%2Fpr%2F1");
    expect(existsSync(folderOf())).toBe(false);
  });

  test.each<[string, RegExp]>([
    ["../../../etc/x.gguf", /could lead anywhere/],
    ["/etc/x.gguf", /could lead anywhere/],
    ["a/../../x.gguf", /could lead anywhere/],
    ["a\\..\\x.gguf", /could lead anywhere/],
    ["C:x.gguf", /could lead anywhere/],
    [".sd-rpn/x.gguf", /could lead anywhere/],
    ["a//x.gguf", /could lead anywhere/],
    ["a\u0000.gguf", /could lead anywhere/],
    [`${"x".repeat(600)}.gguf`, /could lead anywhere/],
  ])("a file called %j is refused, and nothing is fetched", async (name, message) => {
    server.files.set(name, Buffer.from("x"));
    await expect(pull("owner/name:model-q8_0.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(message) });
    expect(server.fetches).toEqual([]);
    expect(readdirSync(cache)).toEqual([]);
  });

  const at = (path: string) => ({ revision: `/api/models/owner/name/revision/main`, tree: `/api/models/owner/name/tree/${"0123456789abcdef0123456789abcdef01234567"}` })[path]!;
  test.each<[string, "revision" | "tree", string, RegExp, Record<string, string>?]>([
    ["HTML", "revision", "<html>", /does not answer with JSON/],
    ["another object", "revision", "{}", /as a hub does/],
    ["a commit that is a path", "revision", '{"sha":"../../x"}', /as a hub does/],
    ["a list that is none", "tree", '{"error":"x"}', /as a hub does/],
    ["a negative size", "tree", '[{"type":"file","path":"a.gguf","size":-1,"oid":"ffffffffffffffffffffffffffffffffffffffff"}]', /as a hub does/],
    ["a hash that is none", "tree", '[{"type":"file","path":"a.gguf","size":1,"oid":"f","lfs":{"oid":"x","size":1}}]', /as a hub does/],
    ["half a list", "tree", '[{"type":"fi', /does not answer with JSON/],
    ["a next page elsewhere", "tree", "[]", /which is not it/, { link: '<http://127.0.0.1:1/next>; rel="next"' }],
    ["a next page that is no URL", "tree", "[]", /no URL/, { link: '<http://[>; rel="next"' }],
    ["pages without end", "tree", "[]", /more files than any repository/, { link: '<?cursor=0>; rel="next"' }],
  ])("%s: DOWNLOAD_FAILED", async (_name, path, body, message, headers = {}) => {
    server.answers.set(at(path), (_, response) => response.writeHead(200, headers).end(body));
    await expect(pull()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(message) });
  });

  test.each<[string, string, RegExp]>([
    ["http elsewhere", "http://example.com/x", /leads to http:\/\/example\.com, which is not https/],
    ["a file", "file:///etc/passwd", /not https/],
    ["no URL", "http://[", /no URL/],
  ])("a redirect to %s is not followed", async (_name, location, message) => {
    server.answers.set(`/owner/name/resolve/${server.commit}/rpn.gguf`, (_, response) => response.writeHead(302, { location }).end());
    await expect(pull("owner/name:rpn.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(message) });
  });

  test("redirects in a circle end", async () => {
    server.answers.set(`/owner/name/resolve/${server.commit}/rpn.gguf`, (request, response) => response.writeHead(307, { location: request.url }).end());
    await expect(pull("owner/name:rpn.gguf")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining("from one address to the next") });
  });

  test("no such repository, revision or file, and no hub at all", async () => {
    await expect(pull("owner/other")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/has no \/api\/models\/owner\/other/) });
    await expect(pull("owner/name@v9")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/has no .*v9/) });
    await expect(pull("owner/name:nothing.gguf")).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/nothing\.gguf; there are model-q8_0\.gguf \(0\.00 GB\), mmproj/) });
    const gone = hub();
    await server.stop();
    await expect(pullFrom(gone, parseHubName("owner/name", "name"), {})).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringMatching(/broke off \(ECONNREFUSED\), 4 times/) });
    await server.start();
  });
});

describe("what is taken of a repository", () => {
  const names = async (name = "owner/name"): Promise<string[]> => (await pull(name)).files.map(({ path }) => path.slice(folderOf().length + 1));

  test("of several models one must be named, and brings the others with it", async () => {
    server.files.set("model-q4_k_m.gguf", randomBytes(10));
    await expect(pull()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringMatching(/owner\/name, but name one: model-q8_0\.gguf .*, model-q4_k_m\.gguf/) });
    expect(await names("owner/name:model-q4_k_m.gguf")).toEqual(["mmproj-f16.gguf", "rpn.gguf", "model-q4_k_m.gguf"]);
    expect(await names("owner/name:mmproj-f16.gguf")).toEqual(["mmproj-f16.gguf"]);
  });

  test("of several mmproj files none is taken, and the result says so", async () => {
    server.files.set("mmproj-q8_0.gguf", randomBytes(10));
    const { files, undecided } = await pull();
    expect(files.map(({ path }) => path.slice(folderOf().length + 1))).toEqual(["rpn.gguf", "model-q8_0.gguf"]);
    expect(undecided).toEqual(["mmproj-f16.gguf", "mmproj-q8_0.gguf"]);
  });

  test("a model in several files is one, also in a folder of its own", async () => {
    server.files.delete("model-q8_0.gguf");
    for (const n of [1, 2, 3]) server.files.set(`q8/big-0000${n}-of-00003.gguf`, randomBytes(20));
    expect(await names()).toEqual(["mmproj-f16.gguf", "rpn.gguf", ...[1, 2, 3].map((n) => join("q8", `big-0000${n}-of-00003.gguf`))]);
    expect(await names("owner/name:q8/big-00001-of-00003.gguf")).toHaveLength(5);
  });

  test("a repository without GGUF files", async () => {
    server.files.clear();
    await expect(pull()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("no GGUF files") });
  });
});

describe("names, endpoints, folders", () => {
  test.each<[string, object]>([
    ["owner/name", { owner: "owner", name: "name", revision: "main", file: undefined }],
    ["hf:Owner-1/na.me_2:a/b-q8_0.gguf", { owner: "Owner-1", name: "na.me_2", revision: "main", file: "a/b-q8_0.gguf" }],
    ["hf:o/n@v1.0:f.gguf", { owner: "o", name: "n", revision: "v1.0", file: "f.gguf" }],
    ["o/n@refs/pr/1", { owner: "o", name: "n", revision: "refs/pr/1", file: undefined }],
  ])("%s", (text, expected) => {
    expect(parseHubName(text, "model")).toEqual(expected);
    expect(parseHubName(formatHubName(parseHubName(text, "model")), "model")).toEqual(expected);
  });

  test.each(["", "owner", "hf:", "a/b/c", "../name", "owner/..", "o/n:", "o/n:../x", "o/n:/x", "o/n@", "o/n@../x", "o/n@a..b", "o n/x", "o/n?x", "o/n#x", "-o/n", "o/.n", "o/n:a\\b", "o/n:C:x", `o/${"n".repeat(97)}`, "o/a..b"])("%j is no name", (text) => {
    expect(() => parseHubName(text, "model")).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test.each(["a.gguf", "a/b c/ü.gguf"])("%j is a plain path", (path) => expect(isPlainPath(path)).toBe(true));

  test("endpoints are https, or this machine", () => {
    const of = (HF_ENDPOINT?: string): string => endpointOf({ HF_ENDPOINT }).url.href;
    expect(of()).toBe("https://huggingface.co/");
    expect(of("")).toBe("https://huggingface.co/");
    expect(of("https://mirror.example/hf/")).toBe("https://mirror.example/hf/");
    expect(of("http://localhost:8080")).toBe("http://localhost:8080/");
    for (const bad of ["http://example.com", "ftp://x", "x", "https://user:secret@example.com", "http://localhost.example.com", "https://x/?a=b"]) {
      expect(() => of(bad)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
    expect(() => of("https://user:secret@example.com")).toThrow(expect.objectContaining({ message: expect.not.stringContaining("secret") }));
  });

  test("the cache is where the environment says", () => {
    const of = (env: NodeJS.ProcessEnv, platform: NodeJS.Platform = "linux"): string => cacheFolder(env, platform);
    expect(of({ SD_RPN_CACHE: "/c", XDG_CACHE_HOME: "/x" })).toBe("/c");
    expect(of({ XDG_CACHE_HOME: "/x" })).toBe(join("/x", "sd-rpn"));
    expect(of({ XDG_CACHE_HOME: "x" })).toMatch(/\.cache\/sd-rpn$/);
    expect(of({}, "darwin")).toMatch(/Library\/Caches\/sd-rpn$/);
    expect(of({ LOCALAPPDATA: "/l" }, "win32")).toBe(join("/l", "sd-rpn", "cache"));
    expect(repositoryFolder("/c", endpointOf({}), parseHubName("o/n@refs/pr/1", "x"))).toBe(join("/c", "huggingface.co", "o", "n@refs%2Fpr%2F1"));
    expect(repositoryFolder("/c", endpointOf({ HF_ENDPOINT: "http://localhost:8080/hf" }), parseHubName("o/n", "x"))).toBe(join("/c", "localhost_8080_hf", "o", "n"));
  });
});

// damaged answers of every kind; seeds say which
test("whatever a hub answers, it is a typed error or the right files, and nothing leaves the cache", async () => {
  let seed = 1;
  const next = (below: number): number => {
    seed = createHash("sha256").update(String(seed)).digest().readUInt32LE();
    return seed % below;
  };
  const outside = readdirSync(tmpdir()).length;
  const answers = { codes: {} as Record<string, number>, fine: 0 };
  for (let n = 0; n < 150; n++) {
    const good = JSON.stringify([...server.files].map(([path, bytes]) => ({ type: "file", path, size: bytes.length, oid: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex") })));
    server.answers.set(at2(server), (_, response) => {
      const text = Buffer.from(good);
      for (let k = next(3); k > 0; k--) text[next(text.length)] = [0x22, 0x2f, 0x2e, 0x5c, 0x30, 0x2d, 0x7d, 0xff, 0x41][next(9)];
      response.writeHead(200).end(text.subarray(0, next(5) === 0 ? next(text.length) : text.length));
    });
    if (next(2)) server.faults.push([{ cutAfter: next(MB) }, { endAfter: next(1000) }, { bytes: randomBytes(next(2 * MB)) }, { status: [404, 403, 400, 500, 429, 302, 204][next(7)] }, { encoding: "br" }, { contentRange: "bytes x" }][next(6)] as never);
    try {
      const { files } = await pull();
      answers.fine++;
      for (const { path, size } of files) expect(readFileSync(path).length).toBe(size);
    } catch (error) {
      const { code } = error as { code: string };
      expect(["DOWNLOAD_FAILED", "INVALID_ARGUMENT", "IO_ERROR"]).toContain(code);
      answers.codes[code] = (answers.codes[code] ?? 0) + 1;
    }
    server.faults.length = 0;
    if (next(3) === 0) rmSync(folderOf(), { recursive: true, force: true });
  }
  expect(answers.fine).toBeGreaterThan(5);
  expect(answers.codes.DOWNLOAD_FAILED).toBeGreaterThan(30);
  expect(Math.abs(readdirSync(tmpdir()).length - outside)).toBeLessThan(5);
  server.answers.clear();
  rmSync(folderOf(), { recursive: true, force: true });
  await pull();
  expect(there("model-q8_0.gguf").equals(model)).toBe(true);
}, 120_000);

function at2({ commit }: HubServer): string {
  return `/api/models/owner/name/tree/${commit}`;
}
