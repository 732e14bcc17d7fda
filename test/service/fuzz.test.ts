// Requests that are nearly right: a valid one of which something was changed. None fails inside, and the next question is answered.
import { about, dataUri, first, type Parsed, type Served, startService } from "./serve";

let service: Served;
beforeAll(async () => {
  service = await startService({ timeout: 20 }, { contextSize: 1024 });
});
afterAll(() => service?.end());

const uri = dataUri(first.image);
const whole = () => ({
  model: "pico-llava-f16", messages: [about([uri], first.question, "auto"), { role: "assistant", content: "A" }, { role: "user", content: first.question }] as Parsed[], stream: false,
  max_tokens: 3, temperature: 0.5, top_p: 0.9, top_k: 3, seed: 1, stop: ["x"], logprobs: true, top_logprobs: 1, n: 1, tools: [], metadata: {},
  sd_rpn: { roi: "auto", threshold: 0.2, map: true, overlay: false, rotate: 0, page: 0 }, response_format: { type: "text" },
});
const JUNK: unknown[] = [null, true, 0, -1, 1e308, 1.5, 2 ** 53, "", "\0", "\uD800", "auto", "x".repeat(5000), [], [null], [[[]]], {}, { type: "json_schema" }, { __proto__: null, toString: 1 }, { length: -1 }, { type: "json_schema", json_schema: { name: "a", schema: { $ref: "#" } } }, { type: "json_object" }];

/** Numbers that look random and are the same each time (a linear congruence). */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

/** Changes a place somewhere inside: another value, none, or a name that nobody knows. */
function change(value: Parsed, random: (below: number) => number): void {
  const keys = Object.keys(value);
  const key = keys[random(keys.length)];
  const inside = value[key];
  if (typeof inside === "object" && inside !== null && Object.keys(inside).length > 0 && random(3) > 0) {
    return change(inside, random);
  }
  const how = random(6);
  if (how === 0) delete value[key];
  else if (how === 1) value[`${key}x`] = inside;
  else value[key] = JUNK[random(JUNK.length)];
}

test("400 requests of which something was changed", async () => {
  const random = numbers(19);
  const statuses = new Map<number, number>();
  for (let n = 0; n < 400; n++) {
    const body = whole();
    for (let times = 1 + random(2); times > 0; times--) change(body, random);
    body.stream ||= n % 2 === 0;
    const { status, body: answer, headers } = await service.post("/v1/chat/completions", body);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const failed = status >= 500 || (status === 200 && headers.get("content-type")!.startsWith("text/event-stream") && /"code":"INTERNAL"/.test(answer));
    expect({ failed, body: failed ? JSON.stringify(body).slice(0, 600) : "", answer: failed ? answer : "" }).toEqual({ failed: false, body: "", answer: "" });
    if (status !== 200) expect(answer.error).toMatchObject({ message: expect.any(String), type: expect.any(String), code: expect.any(String) });
  }
  // both sides of the line were met
  expect(statuses.get(200)).toBeGreaterThan(40);
  expect(statuses.get(400)).toBeGreaterThan(150);
  expect(service.log.filter(({ msg }) => msg === "failed")).toEqual([]);
  const { body } = await service.post("/v1/chat/completions", { messages: [about([uri], first.question)] });
  expect(body.choices[0].message.content).toBe(first.answer);
});
