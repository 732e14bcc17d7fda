import { SdRpnError } from "../base/errors.js";
import type { Turn } from "../base/types.js";
import { imageMark, type Message, type PromptSource, type Writer, writerOf } from "./writer.js";

export type { PromptSource } from "./writer.js";

/**
 * How pictures and a question become text around the images' tokens. Each stretch between images is tokenized on its own,
 * as the reference does, so that a SentencePiece vocabulary puts a space marker before each.
 */
export interface Prompt {
  /** before the first image; the beginning-of-sequence token is not part of the text */
  prefix: Segment[];
  /** whether the beginning-of-sequence token goes first */
  addBos: boolean;
  /** between one image and the next; empty where there is one */
  between: Segment[][];
  /** after the last image */
  suffix(question: string): Segment[];
  /**
   * After the last image, where earlier turns stand before the question; the first of them is the user's.
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
  /**
   * The prompt with so many pictures, in a row before the question.
   *
   * @throws {SdRpnError} INVALID_ARGUMENT where the model's template does not take them
   */
  withPictures(count: number): Prompt;
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
  return promptOf(source, write, { lead: [], pictures: 1 }, fault);
}

/** @param front `lead`: the system's message, or none */
function promptOf(source: PromptSource, write: Writer, front: { lead: readonly Message[]; pictures: number }, fault: Fault): Prompt {
  const { lead, pictures } = front;
  const { before, between, after: [middle, , end] } = lay(write, [...lead, user("")], pictures, fault);
  const startsWithBos = source.bosText !== "" && before[0].text.startsWith(source.bosText);
  const first = { ...before[0], text: startsWithBos ? before[0].text.slice(source.bosText.length) : before[0].text };
  return {
    prefix: [first, ...before.slice(1)],
    between,
    addBos: source.addBos || startsWithBos,
    suffix: (question) => [middle, said(question), end],
    conversation(history, question) {
      const refused: Fault = (reason, cause) => new SdRpnError("INVALID_ARGUMENT", `Expected a history that the model's chat template takes, but it ${reason}`, { cause });
      const whole = lay(write, [...lead, ...history, user(question)], pictures, refused);
      if (JSON.stringify([whole.before, whole.between]) !== JSON.stringify([before, between])) {
        throw refused("changes what stands before the picture when there are earlier turns: ask without history");
      }
      return whole.after;
    },
    withSystem(system) {
      const refused: Fault = (reason, cause) => new SdRpnError("INVALID_ARGUMENT", `Expected no system text for this model, whose chat template ${reason}`, { cause });
      return promptOf(source, write, { ...front, lead: [{ role: "system", text: system }] }, refused);
    },
    withPictures(count) {
      const refused: Fault = (reason, cause) => new SdRpnError("INVALID_ARGUMENT", `Expected one picture for this model, whose chat template ${reason} with ${count}`, { cause });
      return promptOf(source, write, { ...front, pictures: count }, refused);
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
function lay(write: Writer, messages: readonly Message[], pictures: number, fault: Fault): { before: Segment[]; between: Segment[][]; after: Segment[] } {
  const marks = messages.map((_, index) => `\u{F0000}${index}\u{F0000}`);
  let rest: string;
  try {
    rest = write(messages.map(({ role }, index) => ({ role, text: marks[index] })), pictures);
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
  const picture = single ? one : "the picture before the first message";
  before.push(markup(upTo(imageMark(0), picture)));
  const between = Array.from({ length: pictures - 1 }, (_, index) => [markup(upTo(imageMark(index + 1), picture))]);
  const after = messages.slice(system).flatMap((message, index) => {
    const what = single ? one : "each message of the conversation in its turn";
    return [markup(upTo(marks[index + system], what)), said(message.text)];
  });
  return { before, between, after: [...after, markup(rest)] };
}
