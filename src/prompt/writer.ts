import { SdRpnError } from "../base/errors.js";
import { renderChatTemplate } from "./chat-template.js";

/** Properties of the model file that decide its prompt. */
export interface PromptSource {
  chatTemplate: string | null;
  bosText: string;
  eosText: string;
  addBos: boolean;
  /** what the template writes for a picture, where the family decides that; the core puts its tokens around the picture's */
  pictureMarkup: string | null;
}

export interface Message {
  role: "system" | "user" | "assistant";
  text: string;
}

/** Writes a conversation as a model expects it, up to where its answer begins; the pictures are in the first message of the user. */
export type Writer = (messages: readonly Message[], pictures: number) => string;

/** Where a picture is; occurs in no template. */
export const imageMark = (index: number): string => `\u{F0000}image ${index}\u{F0000}`;
const marksOf = (pictures: number): string[] => Array.from({ length: pictures }, (_, index) => imageMark(index));

/**
 * The writer of a model.
 *
 * @throws {SdRpnError} TEMPLATE_INVALID where its template renders no question at all, or the family's prompts need one and there is none
 */
export function writerOf(source: PromptSource): Writer {
  if (source.chatTemplate !== null) {
    return templateWriter(source.chatTemplate, source);
  }
  if (source.pictureMarkup !== null) {
    throw new SdRpnError("TEMPLATE_INVALID", "The model's file has no chat template, which this family's prompts are made of: convert the checkpoint again");
  }
  return writeVicuna;
}

// conversation template vicuna_v1 of LLaVA-1.5, whose GGUF files often carry no chat template
const VICUNA_V1 =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

function writeVicuna(messages: readonly Message[], pictures: number): string {
  const turns = messages.filter(({ role }) => role !== "system");
  if (turns.some(({ role }, index) => role !== (index % 2 === 0 ? "user" : "assistant"))) {
    throw new Error("user and assistant must take turns");
  }
  const [first] = messages;
  const images = marksOf(pictures).map((mark) => `${mark}\n`).join("");
  const written = turns.map(({ role, text }, index) => (role === "user" ? `USER: ${index === 0 ? images : ""}${text} ` : `ASSISTANT: ${text}</s>`));
  return `${first.role === "system" ? first.text : VICUNA_V1} ${written.join("")}ASSISTANT:`;
}

/** A text, or pictures and a text. */
type Content = (text: string, pictures: number) => unknown;

function templateWriter(template: string, { bosText, eosText, pictureMarkup: picture }: PromptSource): Writer {
  const render = (messages: readonly Message[], pictures: number, content: Content): string => {
    const first = messages.findIndex(({ role }) => role === "user");
    return renderChatTemplate(template, {
      messages: messages.map(({ role, text }, index) => ({ role, content: content(text, index === first ? pictures : 0) })),
      add_generation_prompt: true,
      bos_token: bosText,
      eos_token: eosText,
    });
  };
  const parts: Content = (text, pictures) => [...Array<unknown>(pictures).fill({ type: "image" }), { type: "text", text }];
  if (picture !== null) {
    return (messages, pictures) => {
      const text = render(messages, pictures, parts);
      if (text.split(picture).length !== pictures + 1) {
        throw new Error(`it does not write ${picture} once for a picture, as those of its family do`);
      }
      return marksOf(pictures).reduce((written, mark) => written.replace(picture, mark), text);
    };
  }
  const asText: Writer = (messages, pictures) => render(messages, pictures, (text, count) => `${marksOf(count).map((mark) => `${mark}\n`).join("")}${text}`);
  // templates for content in parts write the image's place themselves, most of them with the line break
  const inParts: Writer = (messages, pictures) => {
    const marks = marksOf(pictures);
    const text = marks.reduce((written, mark) => written.replace("<image>", mark), render(messages, pictures, parts));
    const question = messages.find(({ role }) => role === "user")!.text;
    return marks.reduce((written, mark, index) => {
      const next = marks[index + 1] ?? question;
      return written.replace(mark + next, `${mark}\n${next}`);
    }, text);
  };
  const probe: Message[] = [{ role: "user", text: "question" }];
  let failure: unknown;
  try {
    if (asText(probe, 1).includes(imageMark(0))) {
      return asText;
    }
  } catch (error) {
    failure = error;
  }
  try {
    inParts(probe, 1);
    return inParts;
  } catch (error) {
    const cause = (failure ?? error) as Error;
    throw new SdRpnError("TEMPLATE_INVALID", `The model's chat template does not render: ${cause.message}`, { cause });
  }
}
