import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { SdRpnError } from "../../base/errors.js";
import type { Answer, ImageInput } from "../../base/types.js";
import type { Model } from "../../model/model.js";
import { FieldError, httpError } from "../http-error.js";
import type { Metrics } from "../metrics.js";
import { overlayUri } from "../overlay.js";
import { pictureOfUrl } from "../picture/picture-of-url.js";
import { ownPartOf, regionsOfAnswer } from "../regions.js";
import type { Service } from "../service.js";
import { tellAnswer } from "../told.js";
import { answerOptionsOf } from "./answer-options.js";
import { completionOf, headOf } from "./completion.js";
import { conversationOf } from "./conversation.js";
import { type ChatRequest, parseChat } from "./request.js";
import { sseOf } from "./stream.js";

/** `POST /v1/chat/completions` */
export function addChat(app: FastifyInstance, service: Service, metrics: Metrics): void {
  app.post("/v1/chat/completions", async (request, reply) => {
    const { model } = service;
    const chat = parseChat(request.body);
    checkName(chat, service.name);
    const conversation = conversationOf(chat.messages);
    const options = answerOptionsOf(chat, conversation);
    const { question, urls } = conversation;
    const { told } = request;
    Object.assign(told, { pictures: urls.length, stream: chat.stream, ...(service.options.logQuestions && { question }) });

    const call = service.begin(reply.raw);
    let streams = false;
    try {
      const pictures: (string | Buffer)[] = [];
      for (const url of urls) {
        pictures.push(await pictureOfUrl(url, service.pictures, call.signal));
      }
      const subject = pictures.length === 1 ? pictures[0] : pictures;
      const asked = { ...options, signal: call.signal };
      const head = headOf(service.name);
      const finish = async (answer: Answer) => ({ annotations: regionsOfAnswer(answer, chat.sd_rpn?.boxes), own: await ownPart(model, answer, pictures[0], chat) });
      const done = (answer: Answer): void => {
        tellAnswer(told, metrics, answer);
        if (service.options.logQuestions) told.answer = answer.text;
      };
      if (!chat.stream) {
        const answer = await model.answer(subject, question, asked);
        const { annotations, own } = await finish(answer);
        done(answer);
        return completionOf(head, answer, annotations, own);
      }
      const events = model.answerStream(subject, question, asked);
      const first = await events.next(); // an error before any event has its status
      if (first.done) {
        throw new SdRpnError("INTERNAL", "A stream ended without its answer");
      }
      const failed = (error: unknown) => {
        const { status, body } = httpError(error);
        Object.assign(told, { code: body.error.code, failed: status });
        if (status === 500) request.log.error({ err: error }, "failed");
        return body;
      };
      const settings = { head, includeUsage: chat.stream_options?.include_usage ?? false, map: chat.sd_rpn?.map ?? false, finish, failed, done };
      const stream = Readable.from(sseOf(first.value, events, settings));
      streams = true;
      stream.once("close", () => {
        call.end();
        void events.return(undefined); // where nobody has read the stream
      });
      void reply.header("content-type", "text/event-stream; charset=utf-8").header("cache-control", "no-cache").header("x-accel-buffering", "no").send(stream);
    } finally {
      if (!streams) call.end();
    }
    return reply;
  });
}

function checkName({ model }: ChatRequest, name: string): void {
  if (model !== undefined && model !== name) {
    throw new FieldError("model", `Expected ${name} for model, which is the one that this service has, but received ${model.slice(0, 100)}`, "MODEL_NOT_FOUND");
  }
}

async function ownPart(model: Model, answer: Answer, picture: ImageInput, { sd_rpn: own }: ChatRequest) {
  const overlay = own?.overlay && answer.roi ? await overlayUri(model, picture, answer.roi, own) : undefined;
  return ownPartOf(answer, { map: own?.map ?? false, overlay });
}
