// Asks the service, and gives what it sends as it comes.

/** An error to be shown. `status` is 401 where a key is missing. */
export class AskError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** The request of a question; `picture` is a data URI. */
export function requestOf(picture, question, { detail, tiles }) {
  const content = [{ type: "image_url", image_url: { url: picture, detail } }, { type: "text", text: question }];
  const own = detail === "low" ? undefined : { map: true, ...(tiles && { tiles: "auto" }) };
  return { messages: [{ role: "user", content }], logprobs: true, stream: true, stream_options: { include_usage: true }, ...(own && { sd_rpn: own }) };
}

/** Yields the pieces of the stream; ends with [DONE], or throws an AskError. */
export async function* ask(body, key, signal) {
  let response;
  try {
    response = await fetch("v1/chat/completions", { method: "POST", headers: headersOf(key), body: JSON.stringify(body), signal });
  } catch (error) {
    throw signal.aborted ? error : new AskError("The service cannot be reached.");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => null);
    throw new AskError(told?.error?.message ?? `The service answered with ${response.status}.`, response.status);
  }
  for await (const data of dataOf(response.body, signal)) {
    if (data === "[DONE]") {
      return;
    }
    const piece = JSON.parse(data);
    if (piece.error) {
      throw new AskError(piece.error.message);
    }
    yield piece;
  }
  throw new AskError("The connection ended before the answer did. Ask again.");
}

export function headersOf(key) {
  return { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
}

async function* dataOf(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw signal.aborted ? error : new AskError("The connection was lost before the answer ended. Ask again.");
      });
      if (done) {
        return;
      }
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) yield event.replace(/^data: /, "");
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
