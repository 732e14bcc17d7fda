// Chat completions on a real socket: fields, errors, streams. What is answered is compared with the library's own answer.
import { readFileSync } from "node:fs";
import sharp from "sharp";
import { loadModel, type Model } from "../../src/index";
import { about, dataUri, eventsOf, first, type Parsed, type Served, startService } from "./serve";

let service: Served;
let model: Model;
const uri = dataUri(first.image);
const CHAT = "/v1/chat/completions";
const chat = (more: object = {}) => service.post(CHAT, { messages: [about([uri], first.question)], ...more });

beforeAll(async () => {
  [service, model] = await Promise.all([startService(), loadModel()]);
});
afterAll(() => Promise.all([service?.end(), model?.dispose()]));

test("an answer has OpenAI's form, the library's text, usage and region", async () => {
  const expected = await model.answer(first.image, first.question);
  const { status, body } = await chat({ model: "pico-llava-f16" });
  expect(status).toBe(200);
  expect(body).toMatchObject({ object: "chat.completion", model: "pico-llava-f16", choices: [{ index: 0, finish_reason: "stop", logprobs: null, message: { role: "assistant", content: expected.text, refusal: null } }] });
  expect(body.id).toMatch(/^chatcmpl-/);
  const { usage } = expected;
  expect(body.usage).toEqual({
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.reusedTokens, image_tokens: usage.imageTokens, roi_tokens: usage.roiTokens },
  });
  const boxes = expected.roi!.boxes;
  expect(body.choices[0].message.annotations).toEqual(
    boxes.map(({ x, y, width, height, score }) => ({
      type: "image_region",
      image_region: { image_index: 0, box: [x / 1008, y / 1008, (x + width) / 1008, (y + height) / 1008], box_px: [x, y, x + width, y + height], score, used: true },
    })),
  );
  expect(boxes.length).toBeGreaterThan(0);
  expect(body.sd_rpn).toMatchObject({ image: { width: 1008, height: 1008 }, found: true, region: { kind: expected.roi!.region.kind } });
  expect(body.sd_rpn.timings.total).toBeGreaterThan(0);
  expect(body.sd_rpn.map).toBeUndefined();
  // what the session kept is told
  const again = (await chat()).body.usage;
  expect(again.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(usage.imageTokens);
  expect(again.prompt_tokens_details.cached_tokens).toBeLessThanOrEqual(again.prompt_tokens);
});

test("a stream has the role, the region before any text, the text, the end, the usage and [DONE]", async () => {
  const whole = (await chat()).body;
  const { status, headers, body } = await chat({ stream: true, stream_options: { include_usage: true } });
  expect([status, headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
  const events = eventsOf(body);
  expect(events[0].choices[0]).toEqual({ index: 0, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null });
  expect(events[1].choices[0].delta).toEqual({ annotations: whole.choices[0].message.annotations });
  expect(events[1].sd_rpn).toMatchObject({ found: true, region: whole.sd_rpn.region });
  const [end, usage, done] = events.slice(-3);
  expect(done).toBe("[DONE]");
  expect([usage.choices, usage.usage.prompt_tokens]).toEqual([[], whole.usage.prompt_tokens]);
  expect([end.choices[0].finish_reason, end.choices[0].delta]).toEqual(["stop", {}]);
  const text = events.slice(2, -3).map(({ choices }) => choices[0].delta.content).join("");
  expect(text).toBe(whole.choices[0].message.content);
  expect(new Set(events.slice(0, -1).map(({ id }) => id)).size).toBe(1);
  // without include_usage there is none
  expect(eventsOf((await chat({ stream: true })).body).filter(({ usage }) => usage !== undefined)).toEqual([]);
});

test("pictures come as data URIs of any spelling, and as base64 alone", async () => {
  const bytes = readFileSync(first.image);
  const base64 = bytes.toString("base64");
  const spellings = [`DATA:Image/JPEG;name=a.jpg;BASE64,${base64}`, `data:;base64,${base64.replaceAll("+", "%2B").replaceAll("/", "%2f")}`, `data:image/jpeg,${[...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")}`, base64];
  for (const url of spellings) {
    const { status, body } = await service.post(CHAT, { messages: [about([url], first.question)] });
    expect([status, body.choices?.[0].message.content]).toEqual([200, first.answer]);
  }
});

test("detail says whether to look twice; the service's own options are the library's", async () => {
  const used = async (detail?: string, own?: object): Promise<unknown[]> => {
    const { body } = await service.post(CHAT, { messages: [about([uri], first.question, detail)], sd_rpn: own });
    return [body.choices[0].message.annotations.map((each: Parsed) => each.image_region.used), body.usage.prompt_tokens_details.roi_tokens > 0, body.sd_rpn.found];
  };
  expect(await used()).toEqual([[true], true, true]);
  expect(await used("auto")).toEqual([[true], true, true]);
  expect(await used("low")).toEqual([[], false, false]);
  expect(await used(undefined, { threshold: 1 })).toEqual([[], false, false]);
  // nothing passes, and a place is read all the same
  expect(await used("high", { threshold: 1 })).toEqual([[true], true, false]);
  expect(await used(undefined, { roi: "never" })).toEqual([[], false, false]);
  expect(await used(undefined, { boxes: [{ x: 10, y: 20, width: 100, height: 50 }] })).toEqual([[true], true, false]);
  const turned = `data:;base64,${(await sharp(first.image).rotate(270).png().toBuffer()).toString("base64")}`;
  const upright = await service.post(CHAT, { messages: [about([turned], first.question)], sd_rpn: { rotate: 90 } });
  expect([upright.body.choices[0].message.content, upright.body.sd_rpn.image.rotated]).toEqual([first.answer, 90]);
  const { body } = await chat({ sd_rpn: { map: true, overlay: true } });
  expect(body.sd_rpn.map.data.length).toBe(body.sd_rpn.map.width * body.sd_rpn.map.height);
  expect(Buffer.from(body.sd_rpn.overlay.slice("data:image/png;base64,".length), "base64").subarray(1, 4).toString()).toBe("PNG");
});

test("sampling, stop, limits and log-probabilities are the library's", async () => {
  const sampled = { temperature: 1.5, top_p: 0.9, top_k: 40, seed: 11, max_completion_tokens: 3 };
  const expected = await model.answer(first.image, first.question, { temperature: 1.5, topP: 0.9, topK: 40, seed: 11, maxTokens: 3 });
  expect((await chat(sampled)).body.choices[0].message.content).toBe(expected.text);
  const [choice] = (await chat({ max_tokens: 1 })).body.choices;
  expect([choice.finish_reason, choice.message.content]).toEqual(["length", first.answer[0]]);
  expect((await chat({ stop: [first.answer[1]] })).body.choices[0].message.content).toBe(first.answer[0]);
  const { logprobs } = (await chat({ logprobs: true, top_logprobs: 2 })).body.choices[0];
  expect(logprobs.content.map(({ token }: Parsed) => token.trim()).join("")).toBe(first.answer);
  for (const { logprob, bytes, token, top_logprobs: top } of logprobs.content) {
    expect(Buffer.from(bytes).toString()).toBe(token);
    expect([top.length, top[0].token, top[0].logprob]).toEqual([2, token, logprob]);
  }
  const events = eventsOf((await chat({ logprobs: true, stream: true })).body);
  expect(events.flatMap(({ choices }) => choices?.[0].logprobs?.content ?? []).length).toBe(logprobs.content.length);
});

test("answers in JSON", async () => {
  const schema = { type: "object", properties: { code: { type: "string", pattern: "^[A-Z][0-9][A-Z]$" } }, required: ["code"], additionalProperties: false };
  const { body } = await chat({ response_format: { type: "json_schema", json_schema: { name: "code", schema, strict: true } } });
  expect(JSON.parse(body.choices[0].message.content).code).toMatch(/^[A-Z][0-9][A-Z]$/);
  const free = await chat({ response_format: { type: "json_object" }, max_tokens: 5 });
  expect(free.body.choices[0].message.content[0]).toBe("{");
  const { status, body: refused } = await chat({ response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "string", minLength: -1 } } } });
  expect([status, refused.error.code]).toEqual([400, "INVALID_ARGUMENT"]);
});

test("a conversation is read whole, and several pictures are", async () => {
  const history = [about([uri], first.question), { role: "assistant", content: first.answer, refusal: null, annotations: [], tool_calls: null }, { role: "user", content: "What shape is red?" }];
  const expected = await model.answer(first.image, "What shape is red?", { history: [{ role: "user", text: first.question }, { role: "assistant", text: first.answer }] });
  const { body } = await service.post(CHAT, { messages: history });
  expect([body.choices[0].message.content, body.usage.prompt_tokens]).toEqual([expected.text, expected.usage.promptTokens]);
  const images = [first.image, first.image.replace(/\d\.jpg$/, "1.jpg")];
  const both = await model.answer(images, "What shape is red?");
  const { body: several } = await service.post(CHAT, { messages: [about(images.map((file) => dataUri(file)), "What shape is red?")] });
  expect([several.choices[0].message.content, several.usage.prompt_tokens, several.sd_rpn.pictures.length]).toEqual([both.text, both.usage.promptTokens, 2]);
  expect(several.sd_rpn.hints.map(({ code }: Parsed) => code)).toContain("ONE_PICTURE_MODEL");
});

const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
const q = "What code is under ROOM?";

// field, what is sent, status and code; the field is named
test.each<[string | null, object, number, string]>([
  ["tools", { tools: [{ type: "function", function: { name: "f" } }] }, 400, "INVALID_ARGUMENT"],
  ["tool_choice", { tool_choice: "required" }, 400, "INVALID_ARGUMENT"],
  ["functions", { functions: [{ name: "f" }] }, 400, "INVALID_ARGUMENT"],
  ["n", { n: 2 }, 400, "INVALID_ARGUMENT"],
  ["logit_bias.50256", { logit_bias: { 50256: -100 } }, 400, "INVALID_ARGUMENT"],
  ["frequency_penalty", { frequency_penalty: 0.5 }, 400, "INVALID_ARGUMENT"],
  ["presence_penalty", { presence_penalty: 1 }, 400, "INVALID_ARGUMENT"],
  ["modalities[1]", { modalities: ["text", "audio"] }, 400, "INVALID_ARGUMENT"],
  ["temprature", { temprature: 0.1 }, 400, "INVALID_ARGUMENT"],
  ["temperature", { temperature: -1 }, 400, "INVALID_ARGUMENT"],
  ["max_tokens", { max_tokens: 0 }, 400, "INVALID_ARGUMENT"],
  ["max_tokens", { max_tokens: 5, max_completion_tokens: 6 }, 400, "INVALID_ARGUMENT"],
  ["top_logprobs", { top_logprobs: 2 }, 400, "INVALID_ARGUMENT"],
  ["top_logprobs", { logprobs: true, top_logprobs: 21 }, 400, "INVALID_ARGUMENT"],
  ["stream_options", { stream: false, stream_options: { include_usage: true } }, 400, "INVALID_ARGUMENT"],
  ["response_format.type", { response_format: { type: "xml" } }, 400, "INVALID_ARGUMENT"],
  ["model", { model: "gpt-4o" }, 404, "MODEL_NOT_FOUND"],
  ["sd_rpn.roi", { sd_rpn: { roi: "sometimes" } }, 400, "INVALID_ARGUMENT"],
  ["sd_rpn.roi", { sd_rpn: { roi: "auto", boxes: [{ x: 0, y: 0, width: 9, height: 9 }] } }, 400, "INVALID_ARGUMENT"],
  ["sd_rpn", { messages: [about([uri], q, "low")], sd_rpn: { roi: "always" } }, 400, "INVALID_ARGUMENT"],
  ["sd_rpn.map", { sd_rpn: { roi: "never", map: true } }, 400, "INVALID_ARGUMENT"],
  ["messages", { messages: [] }, 400, "INVALID_ARGUMENT"],
  ["messages", user(q), 400, "INVALID_ARGUMENT"],
  ["messages[0].content", { messages: [about([uri], " ")] }, 400, "INVALID_ARGUMENT"],
  ["messages[0].content[0].type", user([{ type: "input_audio", input_audio: { data: "", format: "wav" } }]), 400, "INVALID_ARGUMENT"],
  ["messages[0].role", { messages: [{ role: "tool", content: "x", tool_call_id: "1" }] }, 400, "INVALID_ARGUMENT"],
  ["messages", { messages: [about([uri], q), { role: "assistant", content: "S0Z" }] }, 400, "INVALID_ARGUMENT"],
  ["messages[1].tool_calls", { messages: [about([uri], q), { role: "assistant", content: "", tool_calls: [{ id: "1" }] }, { role: "user", content: q }] }, 400, "INVALID_ARGUMENT"],
  // an earlier picture alone is honoured, a later one is not
  ["messages[2].content", { messages: [about([uri], q), { role: "assistant", content: "S0Z" }, about([uri], q)] }, 400, "INVALID_ARGUMENT"],
  ["messages[1].role", { messages: [about([uri], q), { role: "system", content: "Be short." }] }, 400, "INVALID_ARGUMENT"],
  ["messages", { messages: [{ role: "user", content: [about([uri], q, "low").content[1], about([uri], q, "high").content[1], { type: "text", text: q }] }] }, 400, "INVALID_ARGUMENT"],
  // the demo model's template has no place for one
  [null, { messages: [{ role: "system", content: "Be short." }, about([uri], q)] }, 400, "INVALID_ARGUMENT"],
  [null, { messages: [about(["data:image/png;base64,iVBORw0KGgo="], q)] }, 422, "IMAGE_INVALID"],
  [null, { messages: [about([`data:application/pdf;base64,${Buffer.from("%PDF-1.7").toString("base64")}`], q)] }, 422, "IMAGE_INVALID"],
  [null, { messages: [about(["data:image/png,%00"], q)] }, 422, "IMAGE_INVALID"],
  [null, { messages: [about(["https://example.org/a.png"], q)] }, 400, "INVALID_ARGUMENT"],
  [null, { messages: [about(["file:///etc/hostname"], q)] }, 400, "INVALID_ARGUMENT"],
  [null, { messages: [about(["ftp://example.org/a.png"], q)] }, 400, "INVALID_ARGUMENT"],
  // a path is base64 of nothing, never a path
  [null, { messages: [about(["/etc/passwd"], q)] }, 422, "IMAGE_INVALID"],
  [null, { messages: [about([uri], "word ".repeat(5000))] }, 400, "CONTEXT_OVERFLOW"],
])("refused: %s (%#)", async (field, sent, status, code) => {
  for (const stream of [false, true]) {
    const { status: got, headers, body } = await chat({ stream, ...sent });
    expect([got, headers.get("content-type")]).toEqual([status, "application/json; charset=utf-8"]);
    expect(Object.keys(body)).toEqual(["error"]);
    expect(body.error).toMatchObject({ code, ...(field !== null && { param: field }) });
    expect(body.error.message.length).toBeGreaterThan(20);
  }
  expect((await chat()).status).toBe(200);
});

test("fields that ask for nothing are taken, and null is none", async () => {
  const { status, body } = await chat({
    n: 1, user: "u", metadata: { a: null }, tools: [], tool_choice: "none", parallel_tool_calls: true, logit_bias: {}, frequency_penalty: 0, presence_penalty: 0,
    stop: null, seed: null, max_tokens: null, temperature: null, response_format: { type: "text" }, stream: null, stream_options: null, store: false, modalities: ["text"],
  });
  expect([status, body.choices[0].message.content]).toEqual([200, first.answer]);
});

test("bodies that are no JSON, of other types or other routes", async () => {
  const raw = async (body: string, type: string, path = CHAT, method = "POST") => {
    const response = await fetch(service.url + path, { method, ...(method === "POST" && { body }), headers: { "content-type": type } });
    return [response.status, ((await response.json()) as Parsed).error.code];
  };
  expect(await raw("{", "application/json")).toEqual([400, "BODY_INVALID"]);
  expect(await raw("", "application/json")).toEqual([400, "BODY_INVALID"]);
  expect(await raw("[]", "application/json")).toEqual([400, "INVALID_ARGUMENT"]);
  expect(await raw('{"__proto__": {"stream": true}}', "application/json")).toEqual([400, "BODY_INVALID"]);
  expect(await raw("{}", "text/plain")).toEqual([415, "MEDIA_TYPE_UNSUPPORTED"]);
  expect(await raw("{}", "application/json", "/v1/completions")).toEqual([404, "NOT_FOUND"]);
  expect(await raw("", "application/json", CHAT, "GET")).toEqual([404, "NOT_FOUND"]);
});
