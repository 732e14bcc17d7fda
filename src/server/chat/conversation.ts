import type { Turn } from "../../base/types.js";
import { FieldError } from "../http-error.js";
import type { Detail, Message } from "./request.js";

/** What messages ask the library. */
export interface Conversation {
  /** of the first message of the user's, in order; the model reads them before its text */
  urls: string[];
  detail: Detail;
  system: string | undefined;
  /** turns between the picture and the question */
  history: Turn[];
  question: string;
}

/**
 * The question that messages end with, and what it stands on. The library has pictures at the beginning of a conversation: one that
 * comes later is refused, never left out.
 *
 * @throws {FieldError}
 */
export function conversationOf(messages: readonly Message[]): Conversation {
  const system: string[] = [];
  const turns: Turn[] = [];
  const urls: string[] = [];
  const details = new Set<Detail>();
  messages.forEach((message, index) => {
    const field = `messages[${index}]`;
    const { role, content } = message;
    const text = typeof content === "string" ? content : content.flatMap((part) => (part.type === "text" ? part.text : [])).join("\n");
    if (role === "system" || role === "developer") {
      if (turns.length > 0) {
        throw new FieldError(`${field}.role`, "Expected system and developer messages before all others, as they stand before the picture");
      }
      system.push(text);
      return;
    }
    const pictures = role === "user" && typeof content !== "string" ? content.flatMap((part) => (part.type === "image_url" ? part.image_url : [])) : [];
    if (pictures.length > 0 && turns.length > 0) {
      throw new FieldError(`${field}.content`, "Expected all pictures in the first message of the user's, as the model reads them before all text: put this one there, or begin a new conversation with it");
    }
    for (const { url, detail = "auto" } of pictures) {
      urls.push(url);
      details.add(detail);
    }
    turns.push({ role, text });
  });
  const last = turns.pop();
  if (last?.role !== "user") {
    throw new FieldError("messages", "Expected messages that end with one of the user's, which is the question");
  }
  if (urls.length === 0) {
    throw new FieldError("messages", "Expected a picture in the first message of the user's, a part of type image_url: this model answers questions about pictures");
  }
  if (last.text.trim() === "") {
    throw new FieldError(`messages[${messages.length - 1}].content`, "Expected a question, a part of type text that is not empty, in the last message");
  }
  if (details.size > 1) {
    throw new FieldError("messages", `Expected the same detail for all pictures but received ${[...details].join(" and ")}: all of them are looked at alike`);
  }
  const [detail] = details;
  return { urls, detail, system: system.length > 0 ? system.join("\n\n") : undefined, history: turns, question: last.text };
}
