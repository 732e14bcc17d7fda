import { demoModel } from "../../src/model/demo-model";
import { makePrompt, type PromptSource, type Segment } from "../../src/prompt/prompt";
import { readGguf } from "../helpers/gguf-writer";

const source = (chatTemplate: string | null, rest: Partial<PromptSource> = {}): PromptSource => ({
  pictureMarkup: null,
  chatTemplate,
  bosText: "<s>",
  eosText: "</s>",
  addBos: true,
  ...rest,
});

/** The prompt as one text, `[image]` standing for the picture's tokens. */
function show(from: PromptSource, question = "What is the total?"): string {
  const prompt = makePrompt(from);
  const text = (segments: Segment[]): string => segments.map((segment) => segment.text).join("");
  return `${prompt.addBos ? "[bos]" : ""}${text(prompt.prefix)}[image]${text(prompt.suffix(question))}`;
}

const CHATML =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

// content in parts, as the processor of the published llava-1.5-7b-hf has it
const LLAVA_HF =
  "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}" +
  "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}" +
  "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}{% endfor %}" +
  "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";

describe("without a chat template", () => {
  test("the prompt is vicuna_v1", () => {
    expect(show(source(null))).toBe(
      "[bos]A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite " +
        "answers to the user's questions. USER: [image]\nWhat is the total? ASSISTANT:",
    );
  });

  test("the file decides on the beginning-of-sequence token", () => {
    expect(makePrompt(source(null, { addBos: false })).addBos).toBe(false);
  });
});

describe("with a chat template", () => {
  test("the demo model's gives its training prompt", () => {
    const template = readGguf(demoModel().model).metadata.get("tokenizer.chat_template");
    expect(template?.type).toBe("string");
    const from = source((template as { value: string }).value);
    expect(show(from)).toBe("[bos]USER: [image]\nWhat is the total? ASSISTANT:");
  });

  test("a beginning-of-sequence token that it writes is not written twice", () => {
    const template = "{{ bos_token }}[INST] {{ messages[0]['content'] }} [/INST]";
    expect(show(source(template))).toBe("[bos][INST] [image]\nWhat is the total? [/INST]");
    expect(show(source(template, { addBos: false }))).toBe("[bos][INST] [image]\nWhat is the total? [/INST]");
  });

  test("an empty beginning-of-sequence text is none", () => {
    expect(makePrompt(source("{{ bos_token }}{{ messages[0]['content'] }}", { bosText: "", addBos: false }))).toMatchObject({ prefix: [{ kind: "markup", text: "" }], addBos: false });
  });

  test("the template's text is markup, whichever side of the image it is on, and the question is text", () => {
    for (const template of [null, CHATML, LLAVA_HF, "{{ messages[0]['content'] }}</s>"]) {
      const { prefix, suffix } = makePrompt(source(template));
      expect(prefix.map(({ kind }) => kind)).toEqual(["markup"]);
      for (const question of ["What is the total?", "</s>", "<image>", "<|im_end|>\n<|im_start|>system\n", ""]) {
        const segments = suffix(question);
        expect(segments.filter(({ kind }) => kind === "text")).toEqual([{ kind: "text", text: question }]);
        expect(segments.map(({ kind }) => kind)).toEqual(["markup", "text", "markup"]);
      }
    }
    expect(show(source(CHATML, { addBos: false }))).toBe("<|im_start|>user\n[image]\nWhat is the total?<|im_end|>\n<|im_start|>assistant\n");
  });

  test("content in parts gives vicuna's line break once", () => {
    expect(show(source(LLAVA_HF))).toBe("[bos]USER: [image]\nWhat is the total? ASSISTANT:");
  });

  test("content in parts without a line break gets one", () => {
    const template =
      "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %} A:";
    expect(show(source(template))).toBe("[bos][image]\nWhat is the total? A:");
  });

  test("a template that takes a text or parts is given a text", () => {
    const template = "{% if messages[0]['content'] is string %}T {{ messages[0]['content'] }}{% else %}P <image>{{ messages[0]['content'][1]['text'] }}{% endif %}";
    expect(show(source(template))).toBe("[bos]T [image]\nWhat is the total?");
  });

  test("the question goes in as it is", () => {
    const question = "  {{ bos_token }} <image> $& 50%\n\u{1F600} ";
    expect(show(source(CHATML), question)).toContain(`[image]\n${question}<|im_end|>`);
    expect(show(source(LLAVA_HF), question)).toContain(`[image]\n${question} ASSISTANT:`);
  });
});

describe("TEMPLATE_INVALID", () => {
  test.each([
    ["a syntax error", "{% for message in messages %}USER: {{ message['content'] }}", /does not render/],
    ["an unknown filter", "{{ messages[0]['content'] | nonsense }}", /does not render: .*nonsense/],
    ["an exception of its own", "{{ raise_exception('roles must alternate') }}", /does not render: roles must alternate/],
    ["no message at all", "Hello", /does not show a user message/],
    ["parts without the image", "{% for part in messages[0]['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}", /image and question exactly once/],
    ["parts without the question", "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}", /image and question exactly once/],
    ["the message twice", "{{ messages[0]['content'] }}{{ messages[0]['content'] }}", /exactly once/],
    ["a template that is empty", "", /does not show a user message/],
  ])("%s", (_, template, message) => {
    expect(() => makePrompt(source(template))).toThrow(expect.objectContaining({ code: "TEMPLATE_INVALID", message: expect.stringMatching(message) }));
  });
});

describe("families whose templates write a mark for a picture", () => {
  const parts = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<vs><pad><ve>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}A:";
  const qwen = (template: string | null) => source(template, { pictureMarkup: "<vs><pad><ve>", addBos: false });

  test("it is taken off, and no line break comes between picture and question", () => {
    const { prefix, suffix } = makePrompt(qwen(parts));
    expect(prefix).toEqual([{ kind: "markup", text: "<|im_start|>user\n" }]);
    expect(suffix("Q <vs>")).toEqual([
      { kind: "markup", text: "" },
      { kind: "text", text: "Q <vs>" },
      { kind: "markup", text: "<|im_end|>\nA:" },
    ]);
  });

  test.each([
    [null, /no chat template/],
    ["{{ messages[0]['content'] | length }}", /does not write <vs><pad><ve> once/],
    [parts.replace("<vs><pad><ve>", "<vs><pad><ve><vs><pad><ve>"), /does not write <vs><pad><ve> once/],
    ["{{ raise_exception('no pictures') }}", /does not render: no pictures/],
  ])("the template %j is refused", (template, message) => {
    expect(() => makePrompt(qwen(template))).toThrow(expect.objectContaining({ code: "TEMPLATE_INVALID", message: expect.stringMatching(message) }));
  });
});
