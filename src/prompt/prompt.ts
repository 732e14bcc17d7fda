import { renderChatTemplate } from "./chat-template.js";
import { SdRpnError } from "../base/errors.js";

/**
 * How a picture and a question become text around the image's tokens. Either side of the image is tokenized on its own,
 * as the reference does, so that a SentencePiece vocabulary puts a space marker before each.
 */
export interface Prompt {
  /** before the image; the beginning-of-sequence token is not part of the text */
  prefix: Segment[];
  /** whether the beginning-of-sequence token goes first */
  addBos: boolean;
  /** after the image */
  suffix(question: string): Segment[];
}

/**
 * A piece of a prompt. In markup, which the template writes, control tokens such as `<|im_end|>` are tokens; in text, which
 * the user writes, they are plain characters.
 */
export interface Segment {
  kind: "markup" | "text";
  text: string;
}

/** Properties of the model file that decide its prompt. */
export interface PromptSource {
  chatTemplate: string | null;
  bosText: string;
  eosText: string;
  addBos: boolean;
  /** what the template writes for a picture, where the family decides that; the core puts its tokens around the picture's */
  pictureMarkup: string | null;
}

// conversation template vicuna_v1 of LLaVA-1.5, whose GGUF files often carry no chat template
const VICUNA_V1 =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: ";

// placeholders that occur in no template and no question
const IMAGE = "\u{F0000}image\u{F0000}";
const QUESTION = "\u{F0000}question\u{F0000}";

/**
 * The prompt of a model: its chat template with one user message of image, line break and question, or vicuna_v1 where
 * it has none.
 *
 * @throws {SdRpnError} TEMPLATE_INVALID if the template does not render, or drops the image or the question
 */
export function makePrompt(source: PromptSource): Prompt {
  if (source.chatTemplate === null) {
    if (source.pictureMarkup !== null) {
      throw new SdRpnError("TEMPLATE_INVALID", "The model's file has no chat template, which this family's prompts are made of: convert the checkpoint again");
    }
    return { prefix: [markup(VICUNA_V1)], addBos: source.addBos, suffix: (question) => [markup("\n"), user(question), markup(" ASSISTANT:")] };
  }
  const text = source.pictureMarkup === null ? renderTemplate(source.chatTemplate, source) : renderParts(source.chatTemplate, source, source.pictureMarkup);
  const [before, rest] = split(text, IMAGE);
  const [middle, after] = split(rest, QUESTION);

  const startsWithBos = source.bosText !== "" && before.startsWith(source.bosText);
  return {
    prefix: [markup(startsWithBos ? before.slice(source.bosText.length) : before)],
    addBos: source.addBos || startsWithBos,
    suffix: (question) => [markup(middle), user(question), markup(after)],
  };
}

const markup = (text: string): Segment => ({ kind: "markup", text });
const user = (text: string): Segment => ({ kind: "text", text });

function rendererOf(template: string, { bosText, eosText }: PromptSource): (content: unknown) => string {
  return (content) =>
    renderChatTemplate(template, {
      messages: [{ role: "user", content }],
      add_generation_prompt: true,
      bos_token: bosText,
      eos_token: eosText,
    });
}

const notRendered = (cause: unknown): SdRpnError => new SdRpnError("TEMPLATE_INVALID", `The model's chat template does not render: ${(cause as Error).message}`, { cause });

/** A template that takes content in parts and writes `picture` for one. */
function renderParts(template: string, source: PromptSource, picture: string): string {
  let text;
  try {
    text = rendererOf(template, source)([{ type: "image" }, { type: "text", text: QUESTION }]);
  } catch (error) {
    throw notRendered(error);
  }
  if (text.split(picture).length !== 2) {
    throw new SdRpnError("TEMPLATE_INVALID", `The model's chat template does not write ${picture} once for a picture, as those of its family do`);
  }
  return text.replace(picture, IMAGE);
}

function renderTemplate(template: string, source: PromptSource): string {
  const render = rendererOf(template, source);
  let failure: unknown;
  try {
    const text = render(`${IMAGE}\n${QUESTION}`);
    if (text.includes(IMAGE)) {
      return text;
    }
  } catch (error) {
    failure = error;
  }
  try {
    // templates for content in parts write the image's place themselves, most of them with the line break
    const text = render([{ type: "image" }, { type: "text", text: QUESTION }]).replace("<image>", IMAGE);
    return text.replace(IMAGE + QUESTION, `${IMAGE}\n${QUESTION}`);
  } catch (error) {
    throw notRendered(failure ?? error);
  }
}

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  if (at < 0 || text.indexOf(mark, at + 1) >= 0) {
    throw new SdRpnError("TEMPLATE_INVALID", "The model's chat template does not show a user message with its image and question exactly once");
  }
  return [text.slice(0, at), text.slice(at + mark.length)];
}
