import { renderChatTemplate } from "../../src/prompt/chat-template";

const messages = [{ role: "user", content: "What?" }];
const render = (template: string): string => renderChatTemplate(template, { messages, bos_token: "<s>" });
const grow = (times: number, step: string, rest: string): string =>
  `{% set ns = namespace(a='aaaa', b=[1, 2, 3, 4]) %}{% for i in range(${times}) %}{% set ns.a = ${step} %}{% endfor %}${rest}`;

describe("what templates use", () => {
  test.each([
    ["{{ bos_token }}{% for m in messages %}{{ m['role'] | upper }}: {{ m.content }}\n{% endfor %}", "<s>USER: What?\n"],
    ["{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}", "01253"],
    ["{% set x = namespace(n=0) %}{% for m in messages %}{% set x.n = x.n + 1 %}{% endfor %}{{ x.n }}", "1"],
    ["{% macro say(t) %}[{{ t }}]{% endmacro %}{{ say('a') }}{{ true }}{{ None is none }}", "[a]truetrue"],
    ["{{ messages | tojson }}", '[{"role": "user", "content": "What?"}]'],
    ["{{ strftime_now('%Y') }}", String(new Date().getFullYear())],
  ])("%s", (template, text) => {
    expect(render(template)).toBe(text);
  });

  test("a template of 20,000 characters with 100 loops over 50 messages", () => {
    const text = "You are helpful. ".repeat(1200);
    const many = Array.from({ length: 50 }, () => messages[0]);
    const template = `${text}${"{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}".repeat(20)}`;
    expect(renderChatTemplate(template, { messages: many })).toBe(text + "What?".repeat(1000));
  });
});

describe("hostile templates end within two seconds, and take no memory worth mentioning", () => {
  test.each([
    ["a long loop", "{% for i in range(1000000000) %}{% endfor %}", /number|range/],
    ["loops in loops", "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", /work/],
    ["a loop of text", "{% for i in range(100000) %}aaaaaaaaaaaaaaaaaaaaaa{% endfor %}", /work/],
    ["a range of tiny steps", "{{ range(0, 100, 0.0000001) | length }}", /not possible/],
    ["a range of many", "{{ range(0 - 99999, 99999) | length }}", /not possible/],
    ["a text doubled", grow(60, "ns.a ~ ns.a", "{{ ns.a | upper }}"), /characters in a text|work/],
    ["a list doubled", grow(60, "[ns.a, ns.a]", "{{ ns.a | tojson }}"), /work/],
    ["a list joined", grow(60, "ns.a ~ (ns.b | join(ns.a))", ""), /characters in a text/],
    ["replacements", grow(60, "ns.a.replace('a', ns.a)", ""), /characters in a text|Invalid string length/],
    ["an indent", "{{ 'a\nb' | indent(1000000000) }}", /as a number/],
    ["indented JSON", "{{ [[[[1]]]] | tojson(indent=99999) }}", /characters in a text/],
    ["recursion", "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}", /not a function|work|stack/],
    ["deep brackets", `{{ ${"(".repeat(40_000)}1${")".repeat(40_000)} }}`, /stack/],
    ["deep conditions", `${"{% if 1 %}".repeat(5_000)}${"{% endif %}".repeat(5_000)}`, /stack/],
    ["a namespace in itself", "{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns }}{{ ns.a }}", /work|stack/],
    ["not a number", "{{ (1e308 * 1e308) - (1e308 * 1e308) }}", /as a number|Unexpected|Expected/],
    ["too long a source", "a".repeat(200_000), /has 200000 characters/],
    ["many tags", "{{ a }}".repeat(18_000) + "{%", /Expected|Parser|tag|undefined|Undefined|Unexpected/],
    ["many open tags", "{%-".repeat(40_000), /Unexpected|Parser|Unknown/],
    ["many open comments", "{#".repeat(60_000), /Missing|Unexpected|comment/],
    ["spaces before a tag", `${" ".repeat(120_000)}{%- if`, /Unexpected|Expected|Parser/],
  ])("%s", (_, template, message) => {
    const start = process.cpuUsage(); // a busy machine is not the template's fault
    const memory = process.memoryUsage().heapTotal;
    expect(() => render(template)).toThrow(message);
    expect(process.cpuUsage(start).user).toBeLessThan(2_000_000);
    expect(process.memoryUsage().heapTotal - memory).toBeLessThan(300e6);
  });
});

describe("nothing of JavaScript can be reached", () => {
  test.each([
    "{{ messages.constructor }}",
    "{{ ''.constructor }}",
    "{{ messages['__proto__'] }}",
    "{{ ''['constructor']['constructor'] }}",
    "{{ range.constructor }}",
    "{{ process }}{{ require }}{{ globalThis }}{{ this }}",
  ])("%s", (template) => {
    expect(["", "undefined"]).toContain(render(template));
  });

  test.each(["{{ ''.constructor.constructor('return process')() }}", "{{ range.call(1) }}"])("%s", (template) => {
    expect(() => render(template)).toThrow();
  });
});
