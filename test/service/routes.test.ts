// What is there beside chat completions.
import { readFileSync } from "node:fs";
import sharp from "sharp";
import { loadModel, type Model } from "../../src/index";
import { pageOf, pdfOf } from "../helpers/pdf";
import { about, dataUri, first, type Parsed, type Served, startService } from "./serve";

const CHAT = "/v1/chat/completions";
const uri = dataUri(first.image);
let service: Served;
let model: Model;
beforeAll(async () => {
  [service, model] = await Promise.all([startService({}, { sessionCacheBytes: 1 }), loadModel()]);
});
afterAll(() => Promise.all([service?.end(), model?.dispose()]));

test("a region alone, as JSON and as a form", async () => {
  const expected = await model.predictRoI(first.image, first.question, { threshold: 0.2 });
  const { status, body } = await service.post("/v1/sd-rpn/roi", { image: uri, question: first.question, threshold: 0.2 });
  expect(status).toBe(200);
  expect(body.boxes).toEqual(expected.boxes);
  expect(body).toMatchObject({ found: true, method: "rpn", image: { width: 1008, height: 1008 }, boxes_normalized: expected.boxesNormalized, region: { kind: expected.region.kind } });
  expect(body.annotations.map(({ image_region: { box_px: box, used } }: Parsed) => [...box, used])).toEqual(expected.boxes.map(({ x, y, width, height }) => [x, y, x + width, y + height, false]));
  expect(body.map.data.length).toBe(expected.map.data.length);
  expect(Math.max(...body.map.data.map((value: number, index: number) => Math.abs(value - expected.map.data[index])))).toBeLessThan(1e-3);
  const { width, height, format } = await sharp(Buffer.from(body.overlay.split(",")[1], "base64")).metadata();
  expect([width, height, format]).toEqual([1008, 1008, "png"]);

  const form = new FormData();
  form.append("question", first.question);
  form.append("threshold", "0.2");
  form.append("overlay", "false");
  form.append("map", "false");
  form.append("image", new Blob([readFileSync(first.image)]), "a.jpg");
  const response = await fetch(`${service.url}/v1/sd-rpn/roi`, { method: "POST", body: form });
  const ofForm = (await response.json()) as Parsed;
  expect([response.status, ofForm.boxes, ofForm.map, ofForm.overlay]).toEqual([200, expected.boxes, undefined, undefined]);
});

test("a page of a PDF, and a picture whose overlay lies on the background that it was read with", async () => {
  const drawn = (body: Parsed) => sharp(Buffer.from(body.overlay.split(",")[1], "base64")).raw().toBuffer({ resolveWithObject: true });
  const pdf = pdfOf([{ width: 72, height: 72, content: "" }, pageOf({ width: 1008, height: 1008, jpeg: readFileSync(first.image) }, 100)]);
  const asked = { image: `data:application/pdf;base64,${pdf.toString("base64")}`, question: first.question, map: false };
  const page = (await service.post("/v1/sd-rpn/roi", { ...asked, page: 1, dpi: 100 })).body;
  expect([page.image, page.found, (await drawn(page)).info.width]).toEqual([{ width: 1008, height: 1008, page: 1, pages: 2, rotated: 0, dpi: 100 }, true, 1008]);
  expect((await service.post("/v1/sd-rpn/roi", { ...asked, page: 2 })).body.error).toMatchObject({ code: "INVALID_ARGUMENT" });
  expect((await service.post("/v1/sd-rpn/roi", { ...asked, image: uri, dpi: 100 })).body.error).toMatchObject({ code: "INVALID_ARGUMENT" });

  const glass = await sharp({ create: { width: 50, height: 50, channels: 4, background: "#00000000" } }).composite([{ input: { create: { width: 9, height: 9, channels: 3, background: "#000" } } }]).png().toBuffer();
  const green = (await service.post("/v1/sd-rpn/roi", { image: `data:image/png;base64,${glass.toString("base64")}`, question: "?", threshold: 1, background: "#00ff00" })).body;
  const [red, full, blue] = (await drawn(green)).data.subarray(3 * 49, 3 * 50); // under a veil of heat at most
  expect(full - Math.max(red, blue)).toBeGreaterThan(100);
});

test("forms that are none", async () => {
  const send = async (fields: [string, string | Blob][]): Promise<unknown[]> => {
    const form = new FormData();
    fields.forEach(([name, value]) => (typeof value === "string" ? form.append(name, value) : form.append(name, value, "a")));
    const response = await fetch(`${service.url}/v1/sd-rpn/roi`, { method: "POST", body: form });
    const { error } = (await response.json()) as Parsed;
    return [response.status, error.code, error.param];
  };
  const image = new Blob([readFileSync(first.image)]);
  expect(await send([["question", "q"]])).toEqual([400, "BODY_INVALID", null]);
  expect(await send([["image", image]])).toEqual([400, "INVALID_ARGUMENT", "question"]);
  expect(await send([["picture", image], ["question", "q"]])).toEqual([400, "BODY_INVALID", null]);
  expect(await send([["image", image], ["question", "a"], ["question", "b"]])).toEqual([400, "BODY_INVALID", null]);
  expect(await send([["image", image], ["question", "a"], ["threshold", "high"]])).toEqual([400, "INVALID_ARGUMENT", "threshold"]);
  expect(await send([["image", new Blob(["no picture"])], ["question", "a"]])).toEqual([422, "IMAGE_INVALID", null]);
  const raw = await fetch(`${service.url}/v1/sd-rpn/roi`, { method: "POST", body: "--x\r\nbroken", headers: { "content-type": "multipart/form-data; boundary=x" } });
  expect([raw.status, ((await raw.json()) as Parsed).error.code]).toEqual([400, "BODY_INVALID"]);
  expect((await service.post("/v1/sd-rpn/roi", { image: uri, question: "a", temperature: 1 })).body.error.param).toBe("temperature");
  expect((await service.post("/v1/sd-rpn/roi", { image: uri, question: "a", model: "other" })).status).toBe(404);
});

test("the model", async () => {
  const { body } = await service.get("/v1/models");
  expect(body).toMatchObject({ object: "list", data: [{ id: "pico-llava-f16", object: "model", owned_by: "sd-rpn", input_modalities: ["text", "image"], context_length: model.info.contextSize, sd_rpn: { region_network: true } }] });
  expect((await service.get("/v1/models/pico-llava-f16")).body).toEqual(body.data[0]);
  expect((await service.get("/v1/models/gpt-4o")).status).toBe(404);
  expect(await service.get("/health")).toMatchObject({ status: 200, body: { status: "ready", under_way: 0 } });
});

test("metrics count what was asked", async () => {
  const value = (text: string, name: string): number => Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (.*)$`, "m").exec(text)?.[1] ?? 0);
  const before: string = (await service.get("/metrics")).body;
  const asked = await service.post(CHAT, { messages: [about([uri], first.question)] });
  await service.post(CHAT, { messages: [about([dataUri(first.image.replace(/\d\.jpg$/, "1.jpg"))], "What shape is red?")] });
  await service.post(CHAT, { messages: [] });
  const { body: after, headers } = await service.get("/metrics");
  expect(headers.get("content-type")).toMatch(/^text\/plain; version=0.0.4/);
  const grown = (name: string): number => value(after, name) - value(before, name);
  expect(grown(`sd_rpn_requests_total{route="${CHAT}",status="200"}`)).toBe(2);
  expect(grown(`sd_rpn_requests_total{route="${CHAT}",status="400"}`)).toBe(1);
  expect(grown('sd_rpn_phase_seconds_count{phase="generate"}')).toBe(2);
  expect(grown('sd_rpn_tokens_total{kind="prompt"}')).toBeGreaterThan(asked.body.usage.prompt_tokens);
  // with room for no session the first picture made room for the second
  expect(grown("sd_rpn_session_evictions")).toBeGreaterThanOrEqual(1);
  expect(value(after, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
  for (const name of ["sd_rpn_calls_running", "sd_rpn_calls_waiting", "sd_rpn_requests_under_way"]) {
    expect(after).toContain(`\n${name} 0\n`);
  }
});

test("the OpenAPI document names every route and field", async () => {
  const { body } = await service.get("/openapi.json");
  expect(body.openapi).toBe("3.1.0");
  expect(Object.keys(body.paths).sort()).toEqual(["/health", "/metrics", "/openapi.json", CHAT, "/v1/models", "/v1/models/{id}", "/v1/sd-rpn/roi"].sort());
  const { properties, required } = body.components.schemas.ChatRequest;
  expect(Object.keys(properties)).toEqual(expect.arrayContaining(["messages", "stream", "response_format", "sd_rpn", "top_k"]));
  expect(required).toEqual(["messages"]);
  const text = JSON.stringify(body);
  for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
    expect(body.components.schemas[name]).toBeDefined();
  }
});
