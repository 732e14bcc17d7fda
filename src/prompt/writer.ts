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

/** Writes a conversation as a model expects it, up to where its answer begins; the picture is in the first message of the user. */
export type Writer = (messages: readonly Message[]) => string;

/** Where the picture is; occurs in no template. */
export const IMAGE = "\u{F0000}image\u{F0000}";

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

function writeVicuna(messages: readonly Message[]): string {
  const turns = messages.filter(({ role }) => role !== "system");
  if (turns.some(({ role }, index) => role !== (index % 2 === 0 ? "user" : "assistant"))) {
    throw new Error("user and assistant must take turns");
  }
  const [first] = messages;
  const written = turns.map(({ role, text }, index) => (role === "user" ? `USER: ${index === 0 ? `${IMAGE}\n` : ""}${text} ` : `ASSISTANT: ${text}</s>`));
  return `${first.role === "system" ? first.text : VICUNA_V1} ${written.join("")}ASSISTANT:`;
}

/** A text, or the picture and a text. */
type Content = (text: string, withImage: boolean) => unknown;

function templateWriter(template: string, { bosText, eosText, pictureMarkup: picture }: PromptSource): Writer {
  const render = (messages: readonly Message[], content: Content): string => {
    const first = messages.findIndex(({ role }) => role === "user");
    return renderChatTemplate(template, {
      messages: messages.map(({ role, text }, index) => ({ role, content: content(text, index === first) })),
      add_generation_prompt: true,
      bos_token: bosText,
      eos_token: eosText,
    });
  };
  const parts: Content = (text, withImage) => [...(withImage ? [{ type: "image" }] : []), { type: "text", text }];
  if (picture !== null) {
    return (messages) => {
      const text = render(messages, parts);
      if (text.split(picture).length !== 2) {
        throw new Error(`it does not write ${picture} once for a picture, as those of its family do`);
      }
      return text.replace(picture, IMAGE);
    };
  }
  const asText: Writer = (messages) => render(messages, (text, withImage) => (withImage ? `${IMAGE}\n${text}` : text));
  // templates for content in parts write the image's place themselves, most of them with the line break
  const inParts: Writer = (messages) => {
    const text = render(messages, parts).replace("<image>", IMAGE);
    const question = messages.find(({ role }) => role === "user")!.text;
    return text.replace(IMAGE + question, `${IMAGE}\n${question}`);
  };
  const probe: Message[] = [{ role: "user", text: "question" }];
  let failure: unknown;
  try {
    if (asText(probe).includes(IMAGE)) {
      return asText;
    }
  } catch (error) {
    failure = error;
  }
  try {
    inParts(probe);
    return inParts;
  } catch (error) {
    const cause = (failure ?? error) as Error;
    throw new SdRpnError("TEMPLATE_INVALID", `The model's chat template does not render: ${cause.message}`, { cause });
  }
}
