import { Environment, Interpreter, parse, Template, tokenize } from "@huggingface/jinja";

// What a template may use. It comes with a model file, which may be from anyone; published ones have up to about 20,000
// characters and a few thousand steps. MAX_WORK bounds the time, at about 50 ns a unit, MAX_LENGTH and MAX_NUMBER what a
// single step can build.
const MAX_SOURCE = 128 * 1024;
const MAX_WORK = 10_000_000;
/** of long conversations: each message may look at every other one, as some templates do to see which is the last */
const MAX_CONVERSATION_WORK = 100_000_000;
const PAIR_WORK = 2_000;
const MAX_LENGTH = 128 * 1024;
const MAX_NUMBER = 100_000;
/** for one expression or statement, and for each element of a list that it returns, since a loop may run over it */
const STEP_WORK = 100;
const ELEMENT_WORK = 400;

interface Value {
  value: unknown;
}

// jinja declares these without types that this project's module resolution finds
const BaseInterpreter = Interpreter as new (environment: unknown) => {
  evaluate(statement: unknown, environment: unknown): Value;
  run(program: unknown): Value;
};
const NewEnvironment = Environment as new () => { set(name: string, value: unknown): void };

/** Jinja's interpreter, counting: every expression and statement of a template passes through `evaluate`. */
class BoundedInterpreter extends BaseInterpreter {
  private work = 0;

  constructor(
    environment: unknown,
    private readonly maxWork: number,
  ) {
    super(environment);
  }

  override evaluate(statement: unknown, environment: unknown): Value {
    const value = super.evaluate(statement, environment);
    this.work += STEP_WORK;
    this.charge(value);
    return value;
  }

  private charge(value: Value): void {
    const todo: Value[] = [value];
    for (let next = todo.pop(); next; next = todo.pop()) {
      const content: unknown = next.value;
      if (typeof content === "string") {
        this.work += content.length;
        this.atMost(content.length, MAX_LENGTH, "characters in a text");
      } else if (typeof content === "number") {
        // such numbers are lengths of ranges and depths of indentation
        this.atMost(Math.abs(content), MAX_NUMBER, "as a number");
      } else if (Array.isArray(content)) {
        this.atMost(content.length, MAX_LENGTH, "elements in a list");
        this.work += ELEMENT_WORK * content.length;
        for (const element of content as Value[]) todo.push(element);
      } else if (content instanceof Map) {
        this.atMost(content.size, MAX_LENGTH, "elements in a mapping");
        this.work += ELEMENT_WORK * content.size;
        for (const element of (content as Map<string, Value>).values()) todo.push(element);
      }
      this.atMost(this.work, this.maxWork, "units of work");
    }
  }

  private atMost(value: number, limit: number, what: string): void {
    if (!(value <= limit)) {
      throw new Error(`it takes more than ${limit} ${what}`);
    }
  }
}

/**
 * Renders a Jinja template from a model file, which is not trusted, in bounded time and memory. The interpreter gives
 * templates no way to JavaScript's own objects.
 *
 * @throws {Error} an error raised by the template, a fault in it, or the limit that it exceeded
 */
export function renderChatTemplate(template: string, variables: Record<string, unknown>): string {
  if (template.length > MAX_SOURCE) {
    throw new Error(`it has ${template.length} characters, more than ${MAX_SOURCE}`);
  }
  // eslint-disable-next-line @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-call -- its declarations import without extensions, which nodenext does not resolve
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  const environment = new NewEnvironment();
  for (const [name, value] of Object.entries({ ...globals, ...variables })) {
    environment.set(name, value);
  }
  const messages = Array.isArray(variables.messages) ? variables.messages.length : 0;
  const work = Math.min(MAX_CONVERSATION_WORK, MAX_WORK + PAIR_WORK * messages ** 2);
  return String(new BoundedInterpreter(environment, work).run(program).value);
}

const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range,
  strftime_now: (format: string) => new Template("{{ strftime_now(format) }}").render({ format }),
};

/** Python's range over integers, bounded like lists; jinja's own accepts any step, however small. */
function range(first: number, last?: number, step = 1): number[] {
  const [start, stop] = last === undefined ? [0, first] : [first, last];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (![start, stop, step].every(Number.isSafeInteger) || step === 0 || length > MAX_LENGTH) {
    throw new Error(`range(${start}, ${stop}, ${step}) is not possible`);
  }
  return Array.from({ length }, (_, i) => start + i * step);
}
