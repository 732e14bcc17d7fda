import type { AnswerOptions } from "../../answer/options.js";
import { FieldError } from "../http-error.js";
import type { Conversation } from "./conversation.js";
import type { ChatRequest } from "./request.js";

const OF_DETAIL = { low: "never", high: "always", auto: undefined } as const;

/**
 * The library's options for a request.
 *
 * @throws {FieldError} for fields that contradict each other
 */
export function answerOptionsOf(request: ChatRequest, { detail, system, history }: Conversation): AnswerOptions {
  const { max_tokens: old, max_completion_tokens: most, top_logprobs: top, logprobs, response_format: form, stop } = request;
  if (old !== undefined && most !== undefined && old !== most) {
    throw new FieldError("max_tokens", `Expected one limit but received max_tokens ${old} and max_completion_tokens ${most}: leave out one of them`);
  }
  if (top !== undefined && !logprobs) {
    throw new FieldError("top_logprobs", "Expected logprobs: true with top_logprobs");
  }
  if (request.stream_options && !request.stream) {
    throw new FieldError("stream_options", "Expected stream: true with stream_options");
  }
  const { threshold, method, tiles, background, rotate, page, dpi, map, overlay } = request.sd_rpn ?? {};
  const roi = roiOf(request, detail);
  if ((map || overlay) && (roi === "never" || Array.isArray(roi))) {
    throw new FieldError(map ? "sd_rpn.map" : "sd_rpn.overlay", "Expected no map and overlay where no region is looked for: leave them out, or let the service find where to look");
  }
  return {
    roi,
    threshold,
    method,
    tiles,
    background,
    rotate,
    page,
    dpi,
    system,
    ...(history.length > 0 && { history }),
    maxTokens: most ?? old,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    seed: request.seed,
    stop: typeof stop === "string" ? stop : stop?.length ? stop : undefined,
    logprobs: logprobs && (top || true),
    format: form?.type === "json_schema" ? { type: "json", schema: form.json_schema.schema } : form?.type === "json_object" ? { type: "json", schema: { type: "object" } } : undefined,
  };
}

function roiOf({ sd_rpn: own }: ChatRequest, detail: Conversation["detail"]): AnswerOptions["roi"] {
  const ofDetail = OF_DETAIL[detail];
  const ofOwn = own?.boxes ?? own?.roi;
  if (own?.boxes && own.roi !== undefined) {
    throw new FieldError("sd_rpn.roi", "Expected boxes or roi in sd_rpn, not both: boxes are what is looked at");
  }
  if (ofOwn !== undefined && ofDetail !== undefined && ofOwn !== ofDetail) {
    throw new FieldError("sd_rpn", `Expected no detail "${detail}" beside roi and boxes, which say where to look: leave out one of them`);
  }
  return ofOwn ?? ofDetail;
}
