import type { Answer, AnswerEvent } from "../../base/types.js";
import type { ErrorBody } from "../http-error.js";
import { type ImageRegion, type OwnPart, regionsOf, mapOf } from "../regions.js";
import { type Head, logprobsOf, usageOf } from "./completion.js";

export interface StreamSettings {
  head: Head;
  /** one more piece with what the answer cost */
  includeUsage: boolean;
  map: boolean;
  /** of the whole answer, which has its regions by now */
  finish: (answer: Answer) => Promise<{ annotations: ImageRegion[]; own: OwnPart }>;
  failed: (error: unknown) => ErrorBody;
  done: (answer: Answer) => void;
}

/**
 * The pieces of an answer as server-sent events: the role, the region before any text, the text, the end with the rest of what is
 * known, the usage where it was asked for, and [DONE]. An error that comes later than the first event is a piece of its own, with no [DONE] behind.
 *
 * @param first the event that has come by now
 */
export async function* sseOf(first: AnswerEvent, events: AsyncGenerator<AnswerEvent>, settings: StreamSettings): AsyncGenerator<string, void, undefined> {
  const { head, includeUsage } = settings;
  const piece = (delta: object, finish: string | null = null, more: object = {}, logprobs: object | null = null): string =>
    sse({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, logprobs, finish_reason: finish }], ...(includeUsage && { usage: null }), ...more });
  yield piece({ role: "assistant", content: "" });
  let told = false;
  try {
    for (let event: AnswerEvent | undefined = first; event !== undefined; event = (await events.next()).value as AnswerEvent | undefined) {
      switch (event.type) {
        case "roi": {
          const { roi, picture = 0 } = event;
          told = true;
          const own = { image: roi.image, image_index: picture, found: roi.found, region: roi.region, hints: roi.hints, timings: roi.timings, ...(settings.map && { map: mapOf(roi) }) };
          // what is found is read: whether it was is said once more at the end
          yield piece({ annotations: regionsOf(roi, roi.region.kind !== "none", picture) }, null, { sd_rpn: own });
          break;
        }
        case "text":
          yield piece({ content: event.text });
          break;
        case "done": {
          const { answer } = event;
          const { annotations, own } = await settings.finish(answer);
          yield piece(told || annotations.length === 0 ? {} : { annotations }, answer.finishReason, { sd_rpn: own }, logprobsOf(answer));
          if (includeUsage) {
            yield sse({ ...head, object: "chat.completion.chunk", choices: [], usage: usageOf(answer.usage) });
          }
          settings.done(answer);
          yield "data: [DONE]\n\n";
        }
      }
    }
  } catch (error) {
    yield sse(settings.failed(error));
  } finally {
    await events.return(undefined);
  }
}

function sse(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
