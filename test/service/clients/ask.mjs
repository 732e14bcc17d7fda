// Asks a service through clients that others wrote, each parsing the answers with its own types, and prints what they made of them.
// node ask.mjs CLIENT URL PICTURE QUESTION
import { readFileSync } from "node:fs";

const [client, url, file, question] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const bytes = readFileSync(file);
const dataUri = `data:image/jpeg;base64,${bytes.toString("base64")}`;
const model = "pico-llava-f16";
const pattern = /^[A-Z][0-9][A-Z]$/;

const clients = {
  async openai() {
    const { default: OpenAI, BadRequestError, NotFoundError } = await import("openai");
    const { zodResponseFormat } = await import("openai/helpers/zod");
    const { z } = await import("zod");
    const openai = new OpenAI({ baseURL, apiKey: "key", maxRetries: 0 });
    const messages = [{ role: "user", content: [{ type: "image_url", image_url: { url: dataUri, detail: "high" } }, { type: "text", text: question }] }];
    const answer = await openai.chat.completions.create({ model, messages, logprobs: true, top_logprobs: 3 });
    const again = await openai.chat.completions.create({ model, messages: [...messages, answer.choices[0].message, { role: "user", content: "What shape is red?" }] });
    const stream = openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
    let streamed = "";
    stream.on("content", (delta) => (streamed += delta));
    const whole = await stream.finalChatCompletion();
    const parsed = await openai.chat.completions.parse({ model, messages, response_format: zodResponseFormat(z.object({ code: z.string().regex(pattern) }), "code") });
    const refused = await openai.chat.completions.create({ model, messages, tools: [{ type: "function", function: { name: "f", parameters: {} } }] }).catch((error) => error);
    const missing = await openai.chat.completions.create({ model: "other", messages }).catch((error) => error);
    const models = [];
    for await (const each of openai.models.list()) models.push(each.id);
    const aborted = await openai.chat.completions.create({ model, messages }, { signal: AbortSignal.timeout(1) }).catch((error) => error.constructor.name);
    return {
      text: answer.choices[0].message.content,
      tokens: answer.choices[0].logprobs.content.length,
      regions: answer.choices[0].message.annotations.length,
      again: typeof again.choices[0].message.content,
      streamed,
      finished: whole.choices[0].message.content,
      usage: whole.usage.total_tokens === whole.usage.prompt_tokens + whole.usage.completion_tokens,
      json: pattern.test(parsed.choices[0].message.parsed.code),
      refused: [refused instanceof BadRequestError, refused.param, refused.code],
      missing: missing instanceof NotFoundError,
      models,
      aborted,
    };
  },

  async ai() {
    const { generateText, streamText, generateObject } = await import("ai");
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    const { z } = await import("zod");
    const provider = createOpenAICompatible({ name: "sd-rpn", baseURL, includeUsage: true, supportsStructuredOutputs: true });
    const asked = { model: provider(model), maxRetries: 0, messages: [{ role: "user", content: [{ type: "text", text: question }, { type: "image", image: bytes }] }] };
    const answer = await generateText(asked);
    const stream = streamText(asked);
    let streamed = "";
    for await (const piece of stream.textStream) streamed += piece;
    const { object } = await generateObject({ ...asked, schema: z.object({ code: z.string().regex(pattern) }) });
    const refused = await generateText({ ...asked, model: provider("other") }).catch((error) => error);
    return { text: answer.text, finish: answer.finishReason, usage: answer.usage.totalTokens > 0, streamed, streamedUsage: (await stream.usage).totalTokens > 0, json: pattern.test(object.code), refused: [refused.statusCode, /Expected pico/.test(refused.message)] };
  },

  async langchain() {
    const { ChatOpenAI } = await import("@langchain/openai");
    const { HumanMessage, AIMessage } = await import("@langchain/core/messages");
    const { z } = await import("zod");
    const chat = new ChatOpenAI({ model, apiKey: "key", maxRetries: 0, configuration: { baseURL } });
    const first = new HumanMessage({ content: [{ type: "image_url", image_url: { url: dataUri } }, { type: "text", text: question }] });
    const answer = await chat.invoke([first]);
    let streamed = "";
    for await (const piece of await chat.stream([first])) streamed += piece.content;
    const again = await chat.invoke([first, new AIMessage(answer.content), new HumanMessage("What shape is red?")]);
    const { code } = await chat.withStructuredOutput(z.object({ code: z.string().regex(pattern) }), { method: "jsonSchema" }).invoke([first]);
    return { text: answer.content, usage: answer.usage_metadata.total_tokens > 0, streamed, again: typeof again.content, json: pattern.test(code) };
  },
};

console.log(JSON.stringify(await clients[client]()));
