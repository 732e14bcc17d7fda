// Load on `sd-rpn serve` with the demo model: 64 clients on one and on 16 pictures, then clients that behave badly.
// npm run bench:service -- [--seconds 60]; needs `npm run build` and `npm ci --prefix test/service/clients`. Ends with 1 where something was lost or leaked.
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const autocannon = createRequire(join(ROOT, "test/service/clients/package.json"))("autocannon");
const { values: options } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
const SECONDS = Number(options.seconds);
const CLIENTS = 64;
const CHAT = "/v1/chat/completions";
const faults = [];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const check = (name, ok, value) => ok || faults.push(`${name}: ${value}`);

const bodies = readdirSync(join(ROOT, "demo/images")).slice(0, 16).map((name) => {
  const url = `data:image/jpeg;base64,${readFileSync(join(ROOT, "demo/images", name)).toString("base64")}`;
  const content = [{ type: "image_url", image_url: { url } }, { type: "text", text: "What shape is red?" }];
  return JSON.stringify({ messages: [{ role: "user", content }] });
});

const child = spawn(process.execPath, [join(ROOT, "lib/cli/main.js"), "serve", "--port", "0", "--log-level", "error"], { stdio: ["ignore", "inherit", "pipe"] });
const url = await new Promise((resolve) => child.stderr.on("data", (part) => {
  const found = /serving on (\S+)/.exec(String(part));
  if (found) resolve(found[1]);
}));
const { hostname, port } = new URL(url);
while (!(await fetch(`${url}/health`)).ok) await sleep(50);

const metric = (text, name) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
async function state() {
  const text = await (await fetch(`${url}/metrics`)).text();
  const files = process.platform === "linux" ? readdirSync(`/proc/${child.pid}/fd`).length : 0;
  return { rss: Math.round(metric(text, "process_resident_memory_bytes") / 2 ** 20), heap: Math.round(metric(text, "nodejs_heap_used_bytes") / 2 ** 20), sessions: metric(text, "sd_rpn_sessions"), underWay: metric(text, "sd_rpn_requests_under_way"), files };
}
const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** Times of /health while `work` goes on, in milliseconds. */
async function whileAsking(work) {
  const ended = new AbortController();
  const times = [];
  const asking = (async () => {
    while (!ended.signal.aborted) {
      const start = performance.now();
      await (await fetch(`${url}/health`)).text();
      times.push(performance.now() - start);
      await sleep(20);
    }
  })();
  const result = await work();
  ended.abort();
  await asking;
  times.sort((a, b) => a - b);
  return { result, p99: percentile(times, 0.99) };
}

async function load(pictures) {
  const counts = [];
  const memory = [];
  let n = 0;
  const sampling = setInterval(() => void state().then(({ rss }) => memory.push(rss)), 1000);
  const { result, p99 } = await whileAsking(() => autocannon({
    url: url + CHAT, method: "POST", connections: CLIENTS, duration: SECONDS, timeout: 120, headers: { "content-type": "application/json" },
    setupClient: (client) => {
      const index = n++;
      counts[index] = 0;
      client.setBody(bodies[index % pictures]);
      client.on("response", () => counts[index]++);
    },
  }));
  clearInterval(sampling);
  const lost = result.errors + result.timeouts + result.non2xx;
  const name = `${CLIENTS} clients, ${pictures} picture${pictures === 1 ? "" : "s"}`;
  check(name, lost === 0, `${lost} requests were lost`);
  check(name, p99 < 50, `p99 of /health was ${p99.toFixed(1)} ms`);
  check(name, Math.min(...counts) >= 0.7 * Math.max(...counts) - 1, `clients got from ${Math.min(...counts)} to ${Math.max(...counts)} answers`);
  const middle = memory[Math.floor(memory.length / 3)];
  check(name, memory.at(-1) < 1.15 * middle + 20, `memory grew from ${middle} to ${memory.at(-1)} MiB`);
  return { load: name, answers: result["2xx"], "per second": result.requests.average, "median, ms": result.latency.p50, "p99, ms": result.latency.p99, lost, "answers a client": `${Math.min(...counts)} to ${Math.max(...counts)}`, "/health p99, ms": Number(p99.toFixed(1)), "memory, MiB": `${middle} to ${memory.at(-1)}` };
}

/** Asks for a stream and leaves with its first piece. */
const leave = () => new Promise((resolve) => {
  const sent = request(url + CHAT, { method: "POST", headers: { "content-type": "application/json" } }, (response) => {
    response.once("data", () => sent.destroy());
    response.on("error", () => {});
  });
  sent.on("error", () => {}).on("close", resolve);
  sent.end(bodies[0].replace(/}$/, ', "stream": true}'));
});

/** Sends 100 MB; gives the status, or what became of the connection. */
const flood = () => new Promise((resolve) => {
  const sent = request(url + CHAT, { method: "POST", headers: { "content-type": "application/json", "transfer-encoding": "chunked" } }, (response) => response.resume().on("end", () => resolve(response.statusCode)));
  sent.on("error", (error) => resolve(error.code));
  const part = Buffer.alloc(1 << 20, 32);
  let left = 100;
  const more = () => {
    while (left > 0 && !sent.destroyed) if (left--, !sent.write(part)) return void sent.once("drain", more);
    sent.end();
  };
  more();
});

async function badly(name, work) {
  await work(); // memory that a first time takes stays with the process: what grows is a leak
  await (await fetch(url + CHAT, { method: "POST", headers: { "content-type": "application/json" }, body: bodies[0] })).text();
  const before = await state();
  const { p99, result } = await whileAsking(work);
  for (let tries = 0; tries < 50 && (await state()).underWay > 0; tries++) await sleep(100);
  await sleep(300);
  const after = await state();
  check(name, after.underWay === 0, `${after.underWay} requests are still under way`);
  check(name, after.files <= before.files + 5, `open files grew from ${before.files} to ${after.files}`);
  check(name, after.sessions <= before.sessions + 1, `sessions grew from ${before.sessions} to ${after.sessions}`);
  check(name, after.rss < 1.25 * before.rss + 64, `memory grew from ${before.rss} to ${after.rss} MiB`);
  return { clients: name, result, "/health p99, ms": Number(p99.toFixed(1)), "memory, MiB": `${before.rss} to ${after.rss}`, "open files": `${before.files} to ${after.files}` };
}

console.table([await load(1), await load(16)]);
console.table([
  await badly("1,000 streams left at their first piece", async () => {
    for (let n = 0; n < 1000; n += 20) await Promise.all(Array.from({ length: 20 }, leave));
    return "";
  }),
  await badly("20 bodies of 100 MB", async () => [...new Set([await flood(), ...(await Promise.all(Array.from({ length: 19 }, flood)))])].join(", ")),
  await badly("500 connections that dribble or half close", async () => {
    const sockets = Array.from({ length: 500 }, (_, index) => {
      const socket = connect(Number(port), hostname).on("error", () => {});
      socket.write(`POST ${CHAT} HTTP/1.1\r\nHost: a\r\n${index % 2 ? "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{" : ""}`);
      if (index % 3 === 0) socket.end();
      return socket;
    });
    await sleep(3000);
    sockets.forEach((socket) => socket.destroy());
    return "";
  }),
]);
const ended = new Promise((resolve) => child.on("close", resolve));
child.kill("SIGTERM");
check("the end", (await ended) === 0, "the process did not end with 0");
faults.forEach((fault) => console.error(fault));
process.exitCode = faults.length > 0 ? 1 : 0;
