import { SdRpnError } from "../base/errors.js";
import type { Turn } from "../base/types.js";
import { IMAGE, type Message, type PromptSource, type Writer, writerOf } from "./writer.js";

export type { PromptSource } from "./writer.js";

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
  /**
   * After the image, where earlier turns stand before the question; the first of them is the user's.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT where the model's template does not take them
   */
  conversation(history: readonly Turn[], question: string): Segment[];
  /**
   * The prompt of the same model with a system text.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT where the model's template has none
   */
  withSystem(system: string): Prompt;
}

/**
 * A piece of a prompt. In markup, which the template writes, control tokens such as `<|im_end|>` are tokens; in text, which
 * the user writes, they are plain characters.
 */
export interface Segment {
  kind: "markup" | "text";
  text: string;
}

/**
 * The prompt of a model: its chat template with one user message of image, line break and question, or vicuna_v1 where
 * it has none.
 *
 * @throws {SdRpnError} TEMPLATE_INVALID if the template does not render, or drops the image or the question
 */
export function makePrompt(source: PromptSource): Prompt {
  const write = writerOf(source);
  const fault = (reason: string, cause?: unknown): SdRpnError => new SdRpnError("TEMPLATE_INVALID", `The model's chat template ${reason}`, { cause });
  return promptOf(source, write, [], fault);
}

/** @param lead the system's message, or none */
function promptOf(source: PromptSource, write: Writer, lead: readonly Message[], fault: Fault): Prompt {
  const { before, after: [middle, , end] } = lay(write, [...lead, user("")], fault);
  const startsWithBos = source.bosText !== "" && before[0].text.startsWith(source.bosText);
  const first = { ...before[0], text: startsWithBos ? before[0].text.slice(source.bosText.length) : before[0].text };
  return {
    prefix: [first, ...before.slice(1)],
    addBos: source.addBos || startsWithBos,
    suffix: (question) => [middle, said(question), end],
    conversation(history, question) {
      const refused: Fault = (reason, cause) => new SdRpnError("INVALID_ARGUMENT", `Expected a history that the model's chat template takes, but it ${reason}`, { cause });
      const whole = lay(write, [...lead, ...history, user(question)], refused);
      if (JSON.stringify(whole.before) !== JSON.stringify(before)) {
        throw refused("changes what stands before the picture when there are earlier turns: ask without history");
      }
      return whole.after;
    },
    withSystem(system) {
      const refused: Fault = (reason, cause) => new SdRpnError("INVALID_ARGUMENT", `Expected no system text for this model, whose chat template ${reason}`, { cause });
      return promptOf(source, write, [{ role: "system", text: system }], refused);
    },
  };
}

const markup = (text: string): Segment => ({ kind: "markup", text });
const said = (text: string): Segment => ({ kind: "text", text });
const user = (text: string): Message => ({ role: "user", text });

/** An error about a template, which is the subject of `reason`. */
type Fault = (reason: string, cause?: unknown) => SdRpnError;

/**
 * The segments of a rendered conversation. Marks stand for all texts while it is rendered: what users write is never seen by the template, nor
 * taken for its markup. `before` begins with markup, `after` begins and ends with it.
 */
function lay(write: Writer, messages: readonly Message[], fault: Fault): { before: Segment[]; after: Segment[] } {
  const marks = messages.map((_, index) => `\u{F0000}${index}\u{F0000}`);
  let rest: string;
  try {
    rest = write(messages.map(({ role }, index) => ({ role, text: marks[index] })));
  } catch (error) {
    throw fault(`does not render: ${(error as Error).message}`, error);
  }
  const upTo = (mark: string, what: string): string => {
    const at = rest.indexOf(mark);
    if (at < 0 || rest.indexOf(mark, at + 1) >= 0) {
      throw fault(`does not show ${what} exactly once`);
    }
    const skipped = rest.slice(0, at);
    rest = rest.slice(at + mark.length);
    return skipped;
  };
  const system = messages[0].role === "system" ? 1 : 0;
  const single = messages.length - system === 1;
  const one = "a user message with its image and question";
  const before = system ? [markup(upTo(marks[0], "a system message before the picture")), said(messages[0].text)] : [];
  before.push(markup(upTo(IMAGE, single ? one : "the picture before the first message")));
  const after = messages.slice(system).flatMap((message, index) => {
    const what = single ? one : "each message of the conversation in its turn";
    return [markup(upTo(marks[index + system], what)), said(message.text)];
  });
  return { before, after: [...after, markup(rest)] };
}
