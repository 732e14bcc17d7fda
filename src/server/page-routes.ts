import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { FastifyInstance, FastifyReply } from "fastify";

const PAGE = join(__dirname, "page");
const DEMO = resolve(__dirname, "..", "..", "demo"); // the same two levels up from src and lib

const TYPES = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", mjs: "text/javascript; charset=utf-8", svg: "image/svg+xml", json: "application/json", jpg: "image/jpeg" };

/** Nothing from elsewhere, nothing in line, and no other page may frame this one. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Files that the page consists of; a request cannot name others. */
const FILES = ["icon.svg", "page.css", "ask.mjs", "draw.mjs", "main.mjs"];

/** How many pictures of the demo the page offers. */
const SAMPLES = 6;

/** The page at `/`, for people. It has no secrets: it is sent without an API key, and asks with the one that it is given. */
export function addPage(app: FastifyInstance): void {
  const open = { config: { open: true } };
  const send = (reply: FastifyReply, name: string, content: Buffer | string) =>
    reply
      .header("content-security-policy", POLICY)
      .header("x-content-type-options", "nosniff")
      .header("referrer-policy", "no-referrer")
      .header("cache-control", "no-cache")
      .type(TYPES[name.slice(name.lastIndexOf(".") + 1) as keyof typeof TYPES])
      .send(content);
  const add = (url: string, name: string, content: Buffer | string): void => {
    app.get(url, open, (_, reply) => send(reply, name, content));
  };
  add("/", "index.html", readFileSync(join(PAGE, "index.html")));
  FILES.forEach((name) => add(`/page/${name}`, name, readFileSync(join(PAGE, name))));
  const samples = samplesOfDemo();
  add("/page/samples.json", "samples.json", JSON.stringify(samples));
  samples.forEach(({ name }) => add(`/page/samples/${name}`, name, readFileSync(join(DEMO, "images", name))));
}

/** Pictures with a question each. */
function samplesOfDemo(): { name: string; question: string }[] {
  const file = join(DEMO, "questions.jsonl");
  if (!existsSync(file)) {
    return [];
  }
  const asked = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { image: string; question: string });
  const samples = asked.map(({ image, question }) => ({ name: image.slice(image.lastIndexOf("/") + 1), question }));
  return samples.filter(({ name }, index) => samples.findIndex((other) => other.name === name) === index).slice(0, SAMPLES);
}
