// Keys, origins, limits, the log, draining, and clients that leave.
import { request } from "node:http";
import { connect } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import type { Model } from "../../src/index";
import { type HttpError, httpError } from "../../src/server/http-error";
import { serveSchema } from "../../src/server/options";
import { Service } from "../../src/server/service";
import { keyCheck, readKeys } from "../../src/server/keys";
import { about, dataUri, eventsOf, first, type Parsed, type Served, startService } from "./serve";

const CHAT = "/v1/chat/completions";
const uri = dataUri(first.image);
const asked = { messages: [about([uri], first.question)] };
/** Goes on for some hundred tokens, as no answer in this form ends by itself. */
const long = { ...asked, max_tokens: 3000, response_format: { type: "json_schema", json_schema: { name: "long", schema: { type: "string", minLength: 900, maxLength: 1000 } } } };

const started: Served[] = [];
const start: typeof startService = async (...args) => {
  const service = await startService(...args);
  started.push(service);
  return service;
};
afterEach(() => Promise.all(started.splice(0).map((service) => service.end())));

const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
};

test("API keys", async () => {
  const service = await start({ keys: ["first-key", "second-key"] });
  const status = async (authorization?: string) => (await service.post(CHAT, asked, authorization === undefined ? {} : { authorization })).status;
  expect([await status("Bearer first-key"), await status("bearer second-key")]).toEqual([200, 200]);
  for (const wrong of [undefined, "", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-key2", "first-key", "Basic first-key", "Bearer first-key second-key"]) {
    expect([wrong, await status(wrong)]).toEqual([wrong, 401]);
  }
  const refused = await service.get("/v1/models");
  expect([refused.body.error.code, refused.body.error.type, refused.headers.get("www-authenticate")]).toEqual(["UNAUTHORIZED", "authentication_error", "Bearer"]);
  expect([(await service.get("/metrics")).status, (await service.get("/nothing")).status, (await service.get("/health")).status, (await service.get("/openapi.json")).status]).toEqual([401, 401, 200, 200]);
  expect(JSON.stringify(service.log)).not.toContain("-key");
});

test("keys of a file and of the environment", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sd-rpn-keys-"));
  const file = join(folder, "keys");
  writeFileSync(file, "# ours\n a1 \r\n\nb2\n");
  expect(await readKeys(file, "c3, a1 ,")).toEqual(["a1", "b2", "c3"]);
  expect(await readKeys(undefined, undefined)).toEqual([]);
  writeFileSync(file, "# none\n");
  await expect(readKeys(file, undefined)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(readKeys(join(folder, "gone"), undefined)).rejects.toMatchObject({ code: "IO_ERROR" });
  rmSync(folder, { recursive: true });
  expect(() => keyCheck(["é"])("Bearer é")).not.toThrow();
});

test("pages of other origins are refused unless they were allowed", async () => {
  const closed = await start();
  const open = await start({ cors: ["https://example.org"] });
  const of = async (service: Served, origin: string) => {
    const { status, headers } = await service.post(CHAT, asked, { origin });
    return [status, headers.get("access-control-allow-origin")];
  };
  expect(await of(closed, "https://example.org")).toEqual([403, null]);
  expect(await of(closed, "null")).toEqual([403, null]);
  expect(await of(closed, closed.url)).toEqual([200, null]);
  expect(await of(open, "https://example.org")).toEqual([200, "https://example.org"]);
  expect(await of(open, "https://example.com")).toEqual([403, null]);
  const preflight = await fetch(open.url + CHAT, { method: "OPTIONS", headers: { origin: "https://example.org", "access-control-request-method": "POST" } });
  expect([preflight.status, preflight.headers.get("access-control-allow-headers")]).toEqual([204, "authorization, content-type"]);
});

test("limits of body, pixels, queue and time, each with its error", async () => {
  const small = await start({ maxBody: 2048 }, { maxImagePixels: 100 });
  expect((await small.post(CHAT, asked)).body.error).toMatchObject({ code: "BODY_TOO_LARGE", type: "invalid_request_error" });
  const tiny = `data:image/png;base64,${(await sharp({ create: { width: 11, height: 10, channels: 3, background: "#fff" } }).png().toBuffer()).toString("base64")}`;
  expect(await small.post(CHAT, { messages: [about([tiny], "What is it?")] })).toMatchObject({ status: 413, body: { error: { code: "IMAGE_TOO_LARGE" } } });

  const queue = await start({}, { maxQueue: 0 });
  const all = await Promise.all(Array.from({ length: 12 }, () => queue.post(CHAT, asked)));
  const full = all.filter(({ status }) => status === 429);
  expect(full.length).toBeGreaterThan(0);
  expect(all.filter(({ status }) => status === 200).length + full.length).toBe(12);
  for (const { headers, body } of full) expect([headers.get("retry-after"), body.error.code, body.error.type]).toEqual(["1", "QUEUE_FULL", "rate_limit_error"]);

  const brief = await start({ timeout: 0.15 });
  expect(await brief.post(CHAT, long)).toMatchObject({ status: 504, body: { error: { code: "TIMED_OUT", type: "server_error" } } });
  const events = eventsOf((await brief.post(CHAT, { ...long, stream: true })).body);
  expect(events.at(-1)).toMatchObject({ error: { code: "TIMED_OUT" } });
  expect(events).not.toContain("[DONE]");
});

test("the log has neither pictures nor questions, unless it is asked for questions", async () => {
  const [silent, telling] = [await start(), await start({ logQuestions: true })];
  for (const service of [silent, telling]) {
    await service.post(CHAT, asked);
    await service.post(CHAT, { ...asked, stream: true });
    await service.post("/v1/sd-rpn/roi?secret=1", { image: uri, question: first.question });
    await service.post(CHAT, { ...asked, tools: [1] });
    await until(() => service.log.filter(({ msg }) => msg === "answered").length === 4);
    expect(JSON.stringify(service.log)).not.toContain(uri.slice(30, 60));
    expect(JSON.stringify(service.log)).not.toContain("secret");
  }
  expect(JSON.stringify(silent.log)).not.toContain(first.question);
  expect(JSON.stringify(silent.log)).not.toContain(first.answer);
  const [line, streamed, , refused] = silent.log.filter(({ msg }) => msg === "answered");
  expect(line).toMatchObject({ route: CHAT, status: 200, pictures: 1, stream: false, tokens: { completionTokens: 3 } });
  expect(streamed).toMatchObject({ status: 200, stream: true, finish: "stop" });
  expect(refused).toMatchObject({ status: 400, code: "INVALID_ARGUMENT" });
  expect(telling.log.filter(({ question, answer }) => question === first.question && answer === first.answer).length).toBe(2);
});

/** Begins a request and leaves when `when` says so. */
function leave(service: Served, body: object, when: (received: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const sent = request(service.url + CHAT, { method: "POST", headers: { "content-type": "application/json" } }, (response) => {
      response.on("data", (part: Buffer) => {
        received += part.toString();
        if (when(received)) sent.destroy();
      });
      response.on("error", () => {});
    });
    sent.on("error", () => {});
    sent.on("close", () => resolve(received));
    sent.end(JSON.stringify(body), () => setTimeout(() => when("") && sent.destroy(), 150));
  });
}

test("a client that leaves ends the decoding, whether it streams or not", async () => {
  const service = await start();
  const whole = (await service.post(CHAT, long)).body.usage.completion_tokens;
  expect(whole).toBeGreaterThan(300);
  for (const body of [long, { ...long, stream: true }]) {
    const seen = service.log.length;
    await leave(service, body, (received) => !("stream" in body) || (received.match(/"content":"[^"]/g) ?? []).length > 3);
    const left = Date.now();
    await until(async () => (await service.get("/health")).body.under_way === 0 && service.log.length > seen);
    expect(Date.now() - left).toBeLessThan(1500);
    // it was not written to its end for nobody
    expect((await service.get("/metrics")).body).toContain('sd_rpn_answers_total{second_look="true"} 1\n');
    expect(service.log.at(-1)).toMatchObject({ msg: "answered", status: 499 });
    expect(service.log.at(-1)).not.toHaveProperty("finish");
  }
  expect((await service.post(CHAT, asked)).body.choices[0].message.content).toBe(first.answer);
});

test("what is under way is answered while the service drains, and what comes is refused", async () => {
  const service = await start();
  const answering = service.post(CHAT, long);
  await until(async () => (await service.get("/health")).body.under_way === 1);
  const ending = service.end();
  expect(await service.get("/health")).toMatchObject({ status: 503, body: { status: "draining", under_way: 1 } });
  const refused = await service.post(CHAT, asked);
  expect([refused.status, refused.body.error.code, refused.headers.get("retry-after"), refused.headers.get("connection")]).toEqual([503, "DRAINING", "1", "close"]);
  const { status, body } = await answering;
  expect([status, body.choices[0].finish_reason]).toEqual([200, "stop"]);
  await ending;
  await expect(fetch(`${service.url}/health`)).rejects.toThrow();
});

test("after its grace the service ends what is under way", async () => {
  const service = await start({ grace: 0.1 });
  const [whole, streamed] = [service.post(CHAT, long), service.post(CHAT, { ...long, stream: true })];
  await until(async () => (await service.get("/health")).body.under_way === 2);
  const begun = Date.now();
  await service.end();
  expect(Date.now() - begun).toBeLessThan(1500);
  expect(await whole).toMatchObject({ status: 503, body: { error: { code: "DRAINING" } } });
  const { status, body } = await streamed;
  expect(status === 503 ? (body as Parsed).error.code : (eventsOf(body).at(-1) as Parsed).error.code).toBe("DRAINING");
});

test("while the model is loaded, and while it drains, questions are to come again", async () => {
  const service = new Service(serveSchema.parse({}));
  expect(service.state).toBe("loading");
  expect(httpErrorOf(() => service.model)).toMatchObject({ status: 503, retryAfter: 1, body: { error: { code: "LOADING" } } });
  await service.drain();
  expect(httpErrorOf(() => service.model)).toMatchObject({ status: 503, retryAfter: 1, body: { error: { code: "DRAINING" } } });
  // a model that arrives then is not served
  service.ready({} as Model);
  expect(service.state).toBe("draining");
  // the port is open before the model is there
  const early = await start({}, {}, { ready: false });
  expect(["loading", "ready"]).toContain((await early.get("/health")).body.status);
});

function httpErrorOf(work: () => unknown): HttpError {
  try {
    work();
  } catch (error) {
    return httpError(error);
  }
  throw new Error("nothing was thrown");
}

test("requests that are never finished do not hold the service up", async () => {
  const service = await start();
  const { hostname, port } = new URL(service.url);
  const sockets = Array.from({ length: 50 }, () => connect(Number(port), hostname));
  sockets.forEach((socket, index) => {
    socket.on("error", () => {});
    socket.write(index % 2 ? "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" : "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
    if (index % 5 === 0) socket.end(); // half closed
  });
  expect((await service.post(CHAT, asked)).status).toBe(200);
  const begun = Date.now();
  sockets.forEach((socket) => socket.destroy());
  await service.end();
  expect(Date.now() - begun).toBeLessThan(3000);
});

test("a model that cannot be loaded ends the service, and so does a port that is taken", async () => {
  await expect(startService({}, { model: "/gone.gguf" })).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  const service = await start();
  await expect(startService({ port: Number(new URL(service.url).port) })).rejects.toMatchObject({ code: "IO_ERROR" });
});
